"""Beginning and end of the daemon: draining, handing over, being killed, adoption (G5, G6, G10, G11)."""
import os
import platform
import signal
import socket
import sqlite3
import subprocess
import uuid
from pathlib import Path

import pytest
from support import (Gate, children_of, dag, eventually, parent_of, pawl_path, process_state, processes_of, raw_exchange,
                     states, tasks_by_id, wait_pid_gone)


def test_first_line_and_exit(make_daemon):
    daemon = make_daemon().start()
    assert daemon.get("/health").json["status"] in ("ok", "degraded")
    assert daemon.get("/ready").json["status"] == daemon.get("/live").json["status"] == "ok"
    workers = daemon.worker_pids()
    assert len(workers) == 4
    daemon.stop()
    for pid in workers:
        wait_pid_gone(pid)
    assert processes_of(daemon.folder) == []


def test_the_directory_is_private(daemon):
    assert os.stat(daemon.data).st_mode & 0o777 == 0o700
    for folder, _, names in os.walk(daemon.data):
        for name in names:
            path = os.path.join(folder, name)
            assert os.lstat(path).st_mode & 0o077 == 0 or os.path.relpath(path, daemon.data).startswith("work"), path


def test_sigint_ends_too(make_daemon):
    daemon = make_daemon().start()
    daemon.signal(signal.SIGINT)
    assert daemon.wait() == 0


def test_two_daemons_on_one_directory(daemon, make_daemon):
    second = make_daemon(folder=daemon.folder)
    second.starts = 10
    second.spawn()
    assert second.read_line() == ""
    assert second.wait() == 5
    assert "in use" in second.log()
    assert daemon.get("/live").status == 200
    second.starts, second.process = 0, None


def test_an_address_in_use(daemon, make_daemon):
    other = make_daemon()
    other.spawn("--listen", f"127.0.0.1:{daemon.port}")
    assert other.read_line() == "" and other.wait() != 0
    assert str(daemon.port) in other.log()
    assert processes_of(other.folder) == []


def test_a_store_of_a_newer_pawl(make_daemon):
    daemon = make_daemon().start()
    daemon.create("kept", dag({"id": "a", "command": "true"}))
    daemon.stop()
    path = os.path.join(daemon.data, "pawl.db")
    with sqlite3.connect(path) as db:
        version, = db.execute("PRAGMA user_version").fetchone()
        db.execute("PRAGMA user_version = 999")
    db.close()
    daemon.spawn()
    assert daemon.read_line() == ""
    assert daemon.wait() == 3
    assert "newer" in daemon.log() and "999" in daemon.log()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {version}")
    db.close()
    daemon.start()
    assert [one["name"] for one in daemon.get("/api/v1/dags").json] == ["kept"]


def test_drain_waits_for_what_runs(make_daemon, gate):
    """SIGTERM: nothing new starts, /ready says so, what runs may end."""
    daemon, waits = make_daemon().start(), gate()
    run_id = daemon.start_run("drain", dag({"id": "a", "command": waits.command("exit 0")},
                                           {"id": "b", "command": "true", "dependencies": ["a"]}))
    waits.wait_arrival()
    daemon.signal(signal.SIGTERM)
    answer = eventually(lambda: (lambda a: a if a.status == 503 else None)(daemon.send("GET", "/ready")), "/ready 503")
    assert answer.json["status"] != "ok"
    assert daemon.get("/live").status == 200 and daemon.run(run_id)["state"] == "running"
    refused = daemon.post(f"/api/v1/dags/{daemon.run(run_id)['dagId']}/runs")
    assert refused.status == 503 and refused.code == "STOPPING" and int(refused.headers["retry-after"]) > 0
    waits.open()
    assert daemon.wait() == 0
    daemon.start()
    run = daemon.wait_run(run_id)
    assert states(run) == {"a": "succeeded", "b": "succeeded"}
    assert tasks_by_id(run)["a"]["attempt"] == 1


def test_hand_over_and_adoption(make_daemon, gate):
    """The drain ends before the task does: the task goes on without a daemon and the next one gets its true end."""
    daemon, ends, fails, goes_on = make_daemon("--drain", "100ms").start(), gate("ends"), gate("fails"), gate("goes-on")
    run_id = daemon.start_run("handover", dag(
        {"id": "ends", "command": "echo one; " + ends.command("echo two")},
        {"id": "fails", "command": fails.command("exit 42")},
        {"id": "goes-on", "command": goes_on.command("exit 0")},
        {"id": "behind", "command": "true", "dependencies": ["ends"]}))
    pids = [gate_.wait_arrival() for gate_ in (ends, fails, goes_on)]
    daemon.stop()
    assert "3" in daemon.log()
    assert all(process_state(pid) for pid in pids)
    ends.open()
    fails.open()
    wait_pid_gone(pids[0])
    wait_pid_gone(pids[1])
    daemon.start()
    goes_on.open()
    run = daemon.wait_run(run_id)
    tasks = tasks_by_id(run)
    assert states(run) == {"ends": "succeeded", "fails": "failed", "goes-on": "succeeded", "behind": "succeeded"}
    assert tasks["fails"]["exitCode"] == 42
    assert all(tasks[task]["attempt"] == 1 for task in tasks)
    assert daemon.log_of(run_id, "ends") == "one\ntwo\n"


def test_kill_and_adoption(make_daemon, gate):
    """kill -9 of the daemon alone: what runs goes on, what ended meanwhile ended as it did, nothing runs twice."""
    daemon, ended, running = make_daemon().start(), gate("ended"), gate("running")
    count = os.path.join(daemon.folder, "count")
    run_id = daemon.start_run("killed", dag(
        {"id": "ended", "command": f"echo $PAWL_TASK_ID >> {count}; " + ended.command("exit 3")},
        {"id": "running", "command": f"echo $PAWL_TASK_ID >> {count}; echo before; " + running.command("echo after")},
        {"id": "later", "command": f"echo $PAWL_TASK_ID >> {count}", "dependencies": ["running"]}))
    pids = [ended.wait_arrival(), running.wait_arrival()]
    daemon.kill()
    ended.open()
    wait_pid_gone(pids[0])
    daemon.start()
    assert daemon.task(run_id, "running")["state"] == "running"
    running.open()
    run = daemon.wait_run(run_id)
    assert states(run) == {"ended": "failed", "running": "succeeded", "later": "succeeded"}
    assert tasks_by_id(run)["ended"]["exitCode"] == 3
    assert daemon.log_of(run_id, "running") == "before\nafter\n"
    with open(count, encoding="utf-8") as text:
        assert sorted(text.read().split()) == ["ended", "later", "running"]


def test_killed_again_and_again(make_daemon):
    """Whatever moment kill -9 hits, every run ends, each task once."""
    daemon = make_daemon().start()
    count = os.path.join(daemon.folder, "count")
    tasks = [{"id": f"t{i}", "command": f"echo $PAWL_RUN_ID/$PAWL_TASK_ID >> {count}",
              "dependencies": [f"t{i - 8}"] if i >= 8 else [], "onLost": "fail"} for i in range(120)]
    made = daemon.create("often", dag(*tasks))["id"]
    run_ids = []
    for round_ in range(5):
        run_ids.append(daemon.trigger(made))
        with daemon.events(run_ids[-1]) as stream:
            for seen, _ in enumerate(stream):
                if seen == 20 + 17 * round_:
                    break
        daemon.kill()
        daemon.start()
    for run_id in run_ids:
        run = daemon.wait_run(run_id)
        assert run["counts"]["succeeded"] == 120, run["counts"]
    with open(count, encoding="utf-8") as text:
        lines = text.read().split()
    assert len(lines) == len(set(lines)) == 120 * len(run_ids)


def worker_of(daemon, pid):
    """The worker process above a task's process."""
    while pid and parent_of(pid) != daemon.pid:
        pid = parent_of(pid)
    return pid


@pytest.mark.parametrize("on_lost", ["retry", "fail"])
def test_a_killed_workers_tasks_are_lost(make_daemon, gate, on_lost):
    daemon, waits = make_daemon("--workers", "2", "--slots", "1").start(), gate()
    run_id = daemon.start_run("lost", dag({"id": "a", "command": waits.command(), "onLost": on_lost}))
    pid = waits.wait_arrival()
    os.kill(worker_of(daemon, pid), signal.SIGKILL)
    if on_lost == "retry":
        waits.wait_arrival()
        waits.open()
    run = daemon.wait_run(run_id)
    task = run["tasks"][0]
    assert process_state(pid) in (None, "Z") and parent_of(pid) != daemon.pid, (process_state(pid), parent_of(pid))
    if on_lost == "retry":
        assert (task["state"], task["attempt"]) == ("succeeded", 2)
    else:
        assert (task["state"], task["attempt"], task["errorType"]) == ("failed", 1, "lost")
        assert daemon.get("/api/v1/dlq").json[0]["errorType"] == "lost"
    eventually(lambda: len(daemon.workers()) == 2 and {w["status"] for w in daemon.workers()} == {"idle"},
               "the dead worker is replaced")


def test_daemon_and_worker_killed(make_daemon, gate):
    """Nobody is left who knows how the task ended: lost, repeated without using up its one attempt."""
    daemon, waits = make_daemon("--workers", "1", "--slots", "1").start(), gate()
    run_id = daemon.start_run("both", dag({"id": "a", "command": waits.command()}))
    pid = waits.wait_arrival()
    worker = worker_of(daemon, pid)
    daemon.kill()
    os.kill(worker, signal.SIGKILL)
    wait_pid_gone(worker)
    daemon.start()
    waits.wait_arrival()
    waits.open()
    waits.open()
    task = daemon.wait_run(run_id)["tasks"][0]
    assert (task["state"], task["attempt"]) == ("succeeded", 2)
    wait_pid_gone(pid)


def test_lost_too_often(make_daemon, gate):
    """At most three repeats of what kills its worker."""
    daemon, waits = make_daemon("--workers", "1", "--slots", "1").start(), gate()
    run_id = daemon.start_run("poison", dag({"id": "a", "command": waits.command()}))
    for _ in range(4):
        os.kill(worker_of(daemon, waits.wait_arrival()), signal.SIGKILL)
    task = daemon.wait_run(run_id)["tasks"][0]
    assert (task["state"], task["attempt"], task["errorType"]) == ("failed", 4, "lost")


def test_a_second_sigterm_ends_what_runs(make_daemon, gate):
    daemon, waits = make_daemon("--grace", "100ms").start(), gate()
    run_id = daemon.start_run("twice", dag({"id": "a", "command": "trap '' TERM; " + waits.command()}))
    pid = waits.wait_arrival()
    daemon.signal(signal.SIGTERM)
    eventually(lambda: daemon.send("GET", "/ready").status == 503, "draining")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert not process_state(pid) and processes_of(daemon.folder) == []
    daemon.start()
    assert daemon.run(run_id)["tasks"][0]["attempt"] >= 1


def test_stop_command(make_daemon, gate):
    daemon, waits = make_daemon("--drain", "100ms").start(), gate()
    run_id = daemon.start_run("stop", dag({"id": "a", "command": waits.command()}))
    pid = waits.wait_arrival()
    stop = [pawl_path(), "stop", "--data", daemon.data]
    assert subprocess.run(stop, check=False, timeout=90, stdin=subprocess.DEVNULL).returncode == 0
    assert daemon.wait() == 0
    assert process_state(pid)
    assert subprocess.run([*stop, "--kill"], check=False, timeout=90, stdin=subprocess.DEVNULL).returncode == 0
    wait_pid_gone(pid)
    assert processes_of(daemon.folder) == []
    daemon.start()
    waits.wait_arrival()
    waits.open()
    assert daemon.wait_run(run_id)["tasks"][0]["attempt"] == 2


def test_die_with_parent(make_daemon, gate, tmp_path):
    """The daemon's parent is a shell that the test kills."""
    waits, home = Gate(tmp_path, "orphan"), make_daemon(folder=tmp_path / "home")
    shell = subprocess.Popen(
        ["sh", "-c", f"{pawl_path()} serve --die-with-parent --data {home.data} --listen 127.0.0.1:0 & wait"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    home.process = shell
    home.starts = 0
    home.port = int(home.read_line().rsplit(":", 1)[1])
    home.start_run("orphan", dag({"id": "a", "command": waits.command()}))
    pid = waits.wait_arrival()
    serve = children_of(shell.pid)[0]
    shell.kill()
    shell.wait()
    wait_pid_gone(serve)
    wait_pid_gone(pid)
    shell.stdout.close()
    waits.close()
    home.process = None
    eventually(lambda: processes_of(home.folder) == [], "nothing is left")


def files_of(daemon):
    return sorted(os.path.relpath(os.path.join(folder, name), daemon.data)
                  for folder, _, names in os.walk(daemon.data) for name in names)


def test_nothing_is_left_behind(make_daemon):
    """After work of every kind and a proper end: no process, socket, lock holder, temporary file, zombie."""
    daemon = make_daemon().start()
    yaml = dag({"id": "ok", "command": "setsid sh -c 'read x < /dev/zero' & echo x"}, {"id": "bad", "command": "exit 1"},
               {"id": "late", "command": "exec cat /dev/zero > /dev/null", "timeout": "50ms"},
               {"id": "py", "type": "python", "script": "print(1)\nprint(2)"},
               {"id": "none", "command": ["/no/such"]})
    made = daemon.create("everything", yaml)["id"]
    for _ in range(3):
        assert daemon.wait_run(daemon.trigger(made))["state"] == "failed"
    tree = [daemon.pid] + children_of(daemon.pid)
    zombies = [pid for parent in tree for pid in children_of(parent) if process_state(pid) == "Z"]
    assert zombies == []
    assert [pid for worker in daemon.worker_pids() for pid in children_of(worker)] == []
    daemon.stop()
    assert processes_of(daemon.folder) == []
    left = [name for name in files_of(daemon) if not name.startswith(("logs/", "work/"))]
    assert not [name for name in left if name.endswith((".sock", ".tmp", ".run")) or name == "address"], left
    for folder, _, names in os.walk("/sys/fs/cgroup"):
        assert daemon.data not in folder and not any(str(daemon.pid) == name.rpartition("-")[2] for name in names)


def test_shared_memory_and_tmp_are_left_alone(make_daemon, tmp_path):
    tmp = tmp_path / "tmp"
    tmp.mkdir()
    daemon = make_daemon(env={"TMPDIR": str(tmp)}).start()

    def shared():  # of ours: a database beside us makes and removes its own
        return {name for name in os.listdir("/dev/shm") if not name.startswith("PostgreSQL.")}

    before = shared()
    daemon.execute("tmp", dag({"id": "a", "command": "true"}, {"id": "p", "type": "python", "script": "x = 1\nprint(x)"}))
    daemon.stop()
    assert list(tmp.iterdir()) == [] and shared() - before == set()


def test_idle_connections_do_not_hold_up_the_end(make_daemon):
    daemon = make_daemon().start()
    peers = [socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(50)]
    for peer in peers[:25]:
        peer.sendall(b"POST /api/v1/dags HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                     b"Content-Length: 100\r\n\r\n{")
    daemon.stop()
    for peer in peers:
        peer.close()


def test_history_is_there_after_a_restart(make_daemon):
    daemon = make_daemon().start()
    run = daemon.execute("history", dag({"id": "a", "command": "echo kept"},
                                        {"id": "b", "command": "exit 9", "dependencies": ["a"]},
                                        {"id": "c", "command": "true", "dependencies": ["b"]}))
    dags, letters = daemon.get("/api/v1/dags").json, daemon.get("/api/v1/dlq").json
    for end in (daemon.stop, daemon.kill):
        end()
        daemon.start()
        assert daemon.run(run["runId"]) == run
        assert daemon.get("/api/v1/dags").json == dags and daemon.get("/api/v1/dlq").json == letters
        assert daemon.log_of(run["runId"], "a") == "kept\n"


def test_what_was_acknowledged_is_there_after_a_kill(make_daemon):
    """G1, as far as a kill can show it."""
    daemon = make_daemon().start()
    for i in range(10):
        made = daemon.create(f"durable{i}", dag({"id": "a", "command": "true"}))
        run_id = daemon.trigger(made["id"])
        daemon.kill()
        daemon.start()
        assert daemon.get(f"/api/v1/dags/{made['id']}").json == made
        assert daemon.wait_run(run_id)["state"] == "succeeded"


def test_a_closed_stderr_harms_nothing(make_daemon):
    daemon = make_daemon()
    daemon.spawn()
    daemon.port = int(daemon.read_line().rsplit(":", 1)[1])
    daemon.process.stdout.close()
    daemon.process.stdout = open(os.devnull, "rb")
    assert b" 200 " in raw_exchange(daemon.port, b"GET /live HTTP/1.0\r\n\r\n").split(b"\r\n")[0]
    assert daemon.execute(str(uuid.uuid4()), dag({"id": "a", "command": "true"}))["state"] == "succeeded"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="libraries are opened late on x86-64 only (tools/late-stubs); elsewhere workers are linked with them")
def test_workers_hold_no_library_that_only_the_daemon_needs(daemon):
    """They would cost each worker megabytes. The daemon has them, since it answers."""
    late = ("libmicrohttpd", "libgnutls")
    maps = {pid: Path(f"/proc/{pid}/maps").read_text() for pid in [daemon.pid] + daemon.worker_pids()}
    assert len(maps) > 1
    for pid, text in maps.items():
        for library in late:
            assert (library in text) == (pid == daemon.pid), f"{library} in process {pid}"
