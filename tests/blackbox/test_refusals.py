"""What the machine refuses: a sync that fails, processes, descriptors and memory that are not to be had (G1, G12, G13).
A failed sync ends the store; all else is answered with words, harms nothing else and is over when there is room again."""
import contextlib
import http.client
import os
import pathlib
import re
import resource
import signal
import subprocess
import threading

import pytest
from support import PATIENCE, dag, eventually, pawl_path, processes_of, states, tasks_by_id

HERE = pathlib.Path(__file__).parent
ROOM = 4 << 20                  # beyond what a daemon has when it is told that there is no more
CLIENTS = 4


@pytest.fixture
def wire(tmp_path, make_daemon):
    """(a daemon, the file that makes its syncs fail)"""
    library, file = tmp_path / "tripwire.so", tmp_path / "wire"
    subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", library, HERE / "tripwire.c", "-ldl"],
                   check=True)
    sanitizer = os.environ.get("ASAN_OPTIONS", "")
    return make_daemon(env={"LD_PRELOAD": str(library), "TRIPWIRE": str(file),
                            "ASAN_OPTIONS": f"{sanitizer}:verify_asan_link_order=0".strip(":")}), file


def trigger(daemon, dag_id):
    """The run's id; None when it was not acknowledged."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        answer = daemon.post(f"/api/v1/dags/{dag_id}/runs")
        assert answer.status in (202, 503), answer
        return answer.json["runId"] if answer.status == 202 else None
    return None


def test_a_failed_sync_ends_the_store(wire, gate):
    """Whoever trusts a disk after a failed sync loses what the kernel has dropped (fsync(2)). The daemon says so, ends
    with a status of its own, and acknowledges nothing more; the next start has what was acknowledged, and what ran."""
    daemon, file = wire
    daemon.start()
    place = gate()
    held = daemon.start_run("held", dag({"id": "a", "command": place.command("echo after; exit 3")}))
    place.wait_arrival()
    quick = daemon.create("quick", dag({"id": "a", "command": "true"}))["id"]
    acknowledged, tripped = [], threading.Event()

    def go_on_asking():
        while not tripped.is_set():
            acknowledged.append(trigger(daemon, quick))

    clients = [threading.Thread(target=go_on_asking) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        eventually(lambda: len(acknowledged) > 20, "runs")
        file.touch()
        status = daemon.wait()
    finally:
        tripped.set()
        for client in clients:
            client.join()
    assert status not in (0, None) and status > 0, status
    assert "nothing more is acknowledged" in daemon.log()
    assert trigger(daemon, quick) is None
    daemon.spawn()                              # and as long as it fails there is no start
    assert daemon.read_line() == "" and daemon.wait() > 0
    file.unlink()
    daemon.start()
    known = {run["runId"] for run in daemon.get("/api/v1/runs?limit=1000").json}
    assert {run_id for run_id in acknowledged if run_id} <= known
    gate_run = tasks_by_id(daemon.run(held))["a"]
    assert (gate_run["state"], gate_run["attempt"]) == ("running", 1)
    place.open()
    task = tasks_by_id(daemon.wait_run(held))["a"]
    assert (task["state"], task["attempt"], task["exitCode"]) == ("failed", 1, 3)
    assert daemon.log_of(held, "a") == "after\n"
    for run_id in filter(None, acknowledged):
        assert states(daemon.wait_run(run_id)) == {"a": "succeeded"}


@pytest.fixture
def crowd():
    """crowd(pid): a control group that holds that process alone; its number of processes can be limited."""
    made = []
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            _, path, kind, options, *_ = line.split()
            if kind == "cgroup" and "pids" in options.split(","):
                root = pathlib.Path(path)
                break
        else:
            root = pathlib.Path("/sys/fs/cgroup")

    def hold(pid):
        group = root / f"pawl-test-{os.getpid()}-{len(made)}"
        try:
            group.mkdir()
            made.append(group)
            (group / "pids.max").write_text("max")
            (group / "cgroup.procs").write_text(str(pid))
        except OSError as why:
            pytest.skip(f"no control group that limits processes can be made: {why}")
        return group / "pids.max"

    yield hold
    for group in made:
        with contextlib.suppress(OSError):
            (root / "cgroup.procs").write_text((group / "cgroup.procs").read_text())
        eventually(lambda at=group: not at.exists() or remove(at), "the group is empty")


def remove(group):
    with contextlib.suppress(OSError):
        group.rmdir()
        return True
    return False


def test_no_more_processes(make_daemon, crowd):
    """A worker that may start none: its attempts fail and say why, what may be tried again is, and all is well when it
    may."""
    daemon = make_daemon("--workers", "1", "--slots", "2").start()
    limit = crowd(*daemon.worker_pids())
    limit.write_text("1")
    refused = daemon.execute("refused", dag({"id": "a", "command": "true"}))
    task = tasks_by_id(refused)["a"]
    assert (task["state"], task["errorType"], task["attempt"]) == ("failed", "exec", 1), task
    assert "temporarily unavailable" in task["error"], task
    made = daemon.create("again", dag({"id": "a", "command": "true",
                                       "retry": {"maxAttempts": 1000, "backoff": "fixed", "initialDelay": "50ms"}}))
    run_id = daemon.trigger(made["id"])
    eventually(lambda: daemon.task(run_id, "a")["attempt"] > 1, "it is tried again")
    limit.write_text("max")
    assert states(daemon.wait_run(run_id)) == {"a": "succeeded"}
    assert daemon.get("/health").json["status"] == "ok"
    daemon.stop()


def test_a_worker_without_descriptors(make_daemon):
    daemon = make_daemon("--workers", "1", "--slots", "2").start()
    [worker] = daemon.worker_pids()
    before = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    open_files = max(int(name) for name in os.listdir(f"/proc/{worker}/fd"))
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (open_files + 1, before[1]))
    task = tasks_by_id(daemon.execute("refused", dag({"id": "a", "command": "echo x"})))["a"]
    assert (task["state"], task["errorType"]) == ("failed", "exec") and "Too many open files" in task["error"], task
    resource.prlimit(worker, resource.RLIMIT_NOFILE, before)
    assert states(daemon.execute("again", dag({"id": "a", "command": "echo x"}))) == {"a": "succeeded"}
    assert daemon.worker_pids() == [worker]
    daemon.stop()


def leave_room(pid, room):
    """RLIMIT_DATA rather than RLIMIT_AS: malloc has addresses in store. What was in force before."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as text:
        has = next(int(line.split()[1]) << 10 for line in text if line.startswith("VmData:"))
    before = resource.prlimit(pid, resource.RLIMIT_DATA)
    resource.prlimit(pid, resource.RLIMIT_DATA, (has + room, before[1]))
    return before


no_sanitizer = pytest.mark.skipif(any(name in pathlib.Path(pawl_path()).read_bytes() for name in (b"libasan", b"libtsan")),
                                  reason="a sanitizer ends without memory")


@no_sanitizer
def test_no_more_memory(make_daemon, gate):
    """What needs more memory than there is gets 503, all else goes on beside it, and it is taken when there is more."""
    daemon = make_daemon("--workers", "1", "--slots", "2").start()
    place = gate()
    held = daemon.start_run("held", dag({"id": "a", "command": place.command("exit 3")}))
    place.wait_arrival()
    quick = daemon.create("quick", dag({"id": "a", "command": "true"}))["id"]
    unlimited = leave_room(daemon.pid, ROOM)
    large = dag(*({"id": f"task-{i}", "command": "true " * 20} for i in range(50000)))
    acknowledged, answers = [], []
    for i in range(6):
        answers.append(daemon.send("POST", "/api/v1/dags", {"name": f"large-{i}", "yaml": large}))
        acknowledged.append(trigger(daemon, quick))
    assert {answer.status for answer in answers} == {503} and answers[0].code == "OUT_OF_MEMORY", answers
    assert all(acknowledged)
    resource.prlimit(daemon.pid, resource.RLIMIT_DATA, unlimited)
    assert states(daemon.execute("after", dag({"id": "a", "command": "true"}))) == {"a": "succeeded"}
    for run_id in acknowledged:
        assert states(daemon.wait_run(run_id)) == {"a": "succeeded"}
    daemon.create("large", large)
    place.open()
    assert tasks_by_id(daemon.wait_run(held))["a"]["exitCode"] == 3


@no_sanitizer
@pytest.mark.parametrize("room", [0, 1 << 18, 1 << 20])
def test_a_worker_without_memory(make_daemon, room):
    """What a worker cannot do for want of memory fails and says so; one that cannot go on ends, and what it ran is
    repeated by the next. A library that it opens late (libcurl) is refused memory too."""
    daemon = make_daemon("--workers", "1", "--slots", "4").start()
    [worker] = daemon.worker_pids()
    leave_room(worker, room)
    live = f"http://127.0.0.1:{daemon.port}/live"
    tasks = [{"id": f"web-{i}", "type": "http", "url": live} for i in range(8)]
    tasks += [{"id": f"large-{i}", "type": "http", "method": "POST", "url": live, "body": "x" * 300000} for i in range(4)]
    tasks += [{"id": f"talks-{i}", "command": "head -c 3000000 /dev/zero"} for i in range(8)]
    for task in daemon.execute("refused", dag(*tasks))["tasks"]:
        well = task["state"] == "succeeded" or task["taskId"].startswith("large") and task["errorType"] == "http"
        said = re.search("memory|cannot map|failed to map", task["error"] or "")    # and dlerror(3)
        assert well or task["state"] == "failed" and said, task
    [present] = eventually(lambda: daemon.worker_pids(), "a worker")
    if present == worker:
        resource.prlimit(worker, resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    after = daemon.execute("after", dag({"id": "a", "type": "http", "url": live}, {"id": "b", "command": "true"}))
    assert states(after) == {"a": "succeeded", "b": "succeeded"}
    daemon.stop()


@no_sanitizer
def test_a_run_without_memory(tmp_path):
    """`pawl run` with more and more memory: it says what is missing or does all of its work, and leaves nothing that
    runs; with enough it succeeds beside what the others left."""
    file = tmp_path / "run.yaml"
    file.write_text(dag({"id": "a", "command": "echo a"}, {"id": "b", "command": "echo b", "dependencies": ["a"]}))
    environment = dict(os.environ, XDG_DATA_HOME=str(tmp_path / "data"))

    def run(limit):
        def set_limits():
            resource.setrlimit(resource.RLIMIT_STACK, (1 << 19, 1 << 19))   # each thread takes that much
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        return subprocess.run([pawl_path(), "run", file], env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=PATIENCE, check=False, preexec_fn=set_limits)

    refused = 0
    for limit in range(1 << 20, 4 << 20, 1 << 17):
        done = run(limit)
        if done.returncode:
            refused += 1
            assert "memory" in done.stderr or "thread" in done.stderr, (limit, done)
            assert done.returncode in (1, 7, -signal.SIGABRT), (limit, done)
        assert not processes_of(tmp_path), limit
    assert refused
    done = run(resource.RLIM_INFINITY)
    assert done.returncode == 0 and "2 succeeded" in done.stdout, done
