"""Many attempts over a kill, a store that contradicts itself, too few descriptors (G5, G12, G13)."""
import contextlib
import fcntl
import http.client
import os
import re
import resource
import signal
import sqlite3
import time

import pytest
from support import Client, dag, eventually, states, tasks_by_id

MANY = 1000


@pytest.fixture
def holds(tmp_path):
    """Two files; a task that waits for one goes on when it is let go."""
    files = [open(tmp_path / name, "w", encoding="utf-8") for name in ("first", "second")]
    for file in files:
        fcntl.flock(file, fcntl.LOCK_EX)
    yield files
    for file in files:
        file.close()


def lines_of(path):
    return path.read_text().split() if path.exists() else []


def test_a_thousand_attempts_are_readopted(make_daemon, holds, tmp_path):
    """kill -9 of the daemon while 1,000 attempts run. The next has every one of them, with its true exit status and its
    whole log; none is started again, whether it ended while no daemon was there or after."""
    starts, ends = tmp_path / "starts", tmp_path / "ends"
    daemon = make_daemon("--workers", "4", "--slots", "250").start()
    run_id = daemon.start_run("many", dag(*(
        {"id": f"t{i}", "command": f"echo before {i}; echo {i} >> {starts}; flock -s {holds[i % 2].name} true; "
                                   f"echo after {i}; echo {i} >> {ends}; exit {i % 5}"} for i in range(MANY))))
    eventually(lambda: len(lines_of(starts)) == MANY, "all tasks run", 120)
    daemon.kill()
    holds[0].close()
    eventually(lambda: len(lines_of(ends)) == MANY // 2, "half of them have ended", 120)
    began = time.monotonic()
    daemon.start()

    def all_back():
        counts = daemon.run(run_id)["counts"]
        return counts if counts["running"] == MANY // 2 and counts["failed"] + counts["succeeded"] == MANY // 2 else None
    eventually(all_back, "all are back", 120)
    print(f"{MANY} attempts were back after {time.monotonic() - began:.2f} s")
    found = re.search(r"recovered 1 run: (\d+) attempts go on, (\d+) ended meanwhile, 0 never started and are due "
                      r"again, 0 are lost", daemon.log())
    assert found, daemon.log()
    assert sum(map(int, found.groups())) == MANY
    holds[1].close()
    tasks = tasks_by_id(daemon.wait_run(run_id))
    for i in range(MANY):
        task = tasks[f"t{i}"]
        assert (task["attempt"], task["exitCode"]) == (1, i % 5), task
        assert daemon.log_of(run_id, f"t{i}") == f"before {i}\nafter {i}\n"
    assert sorted(map(int, lines_of(starts))) == list(range(MANY))


def test_a_stopped_worker_is_not_given_up(make_daemon, gate):
    """A worker that says nothing when the daemon starts, but lives, keeps its attempts for as long as it does: all else
    goes on, health says so, and in the end there is the true exit status and the whole log. One that is canceled
    meanwhile is told so when it can hear; one that is killed is lost."""
    kept, canceled, lost = gate("kept"), gate("canceled"), gate("lost")
    daemon = make_daemon("--workers", "1", "--slots", "3").start()
    runs = {place: daemon.start_run(name, dag({"id": "a", "command": place.command("echo after; exit 7"),
                                              "onLost": "fail"}))
            for name, place in (("kept", kept), ("canceled", canceled))}
    for place in runs:
        place.wait_arrival()
    [stopped] = daemon.worker_pids()
    os.kill(stopped, signal.SIGSTOP)
    daemon.kill()
    daemon.start()
    assert f"lives (process {stopped}) and does not say what it runs" in daemon.log()
    assert "2 wait for workers that are silent" in daemon.log()
    health = eventually(lambda: (lambda part: part if part["present"] == 2 else None)(
        daemon.send("GET", "/health").json["components"]["workers"]), "the one in its place")
    assert (health["status"], health["draining"]) == ("degraded", 1) and "do not say what they run" in health["message"]
    assert states(daemon.execute("beside", dag({"id": "b", "command": "true"}))) == {"b": "succeeded"}
    assert daemon.post(f"/api/v1/runs/{runs[canceled]}/cancel").status == 202
    for run_id in runs.values():
        assert daemon.task(run_id, "a")["state"] == "running"
    kept.open()
    os.kill(stopped, signal.SIGCONT)
    task = tasks_by_id(daemon.wait_run(runs[kept]))["a"]
    assert (task["state"], task["attempt"], task["exitCode"]) == ("failed", 1, 7)
    assert daemon.log_of(runs[kept], "a") == "after\n"
    assert states(daemon.wait_run(runs[canceled])) == {"a": "canceled"}
    run_id = daemon.start_run("lost", dag({"id": "a", "command": lost.command(), "onLost": "fail"}))
    lost.wait_arrival()
    [stopped] = daemon.worker_pids()
    os.kill(stopped, signal.SIGSTOP)
    daemon.kill()
    daemon.start()
    assert daemon.task(run_id, "a")["state"] == "running"
    os.kill(stopped, signal.SIGKILL)
    assert tasks_by_id(daemon.wait_run(run_id))["a"]["errorType"] == "lost"


def test_a_store_that_contradicts_itself(make_daemon):
    """The cheap form of fsck at every start: what it finds is said, and not gone on with."""
    daemon = make_daemon().start()
    daemon.execute("kept", dag({"id": "a", "command": "true"}))
    daemon.stop()

    def change(sql):
        with sqlite3.connect(os.path.join(daemon.data, "pawl.db")) as db:
            db.execute(sql)
        db.close()
    change("UPDATE meta SET active_runs = active_runs + 1")
    daemon.spawn()
    assert daemon.read_line() == "" and daemon.wait() not in (0, -6)
    assert "contradicts itself" in daemon.log() and "active runs" in daemon.log() and "pawl fsck" in daemon.log()
    change("UPDATE meta SET active_runs = active_runs - 1")
    daemon.start()
    assert states(daemon.execute("again", dag({"id": "a", "command": "true"}))) == {"a": "succeeded"}


def test_too_few_descriptors(make_daemon):
    """More clients than descriptors: some are not served, the daemon goes on, and so does all when they have gone."""
    daemon = make_daemon("--workers", "1", "--slots", "2").start()
    made = daemon.create("few", dag({"id": "a", "command": "true"}))["id"]
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (daemon.open_files() + 20,) * 2)
    refused = 0
    with contextlib.ExitStack() as clients:
        for _ in range(40):
            try:
                clients.enter_context(Client(daemon.port, timeout=0.2)).send("GET", "/live")
            except (OSError, http.client.HTTPException):
                refused += 1
    assert refused
    run_id = eventually(lambda: trigger(daemon, made), "a run")
    assert states(daemon.wait_run(run_id)) == {"a": "succeeded"}
    daemon.stop()


def trigger(daemon, made):
    try:
        answer = daemon.post(f"/api/v1/dags/{made}/runs")
    except OSError:
        return None
    return answer.json["runId"] if answer.status == 202 else None
