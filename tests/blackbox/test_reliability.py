"""Many attempts over a kill, a store that contradicts itself, too few descriptors (G5, G12, G13)."""
import contextlib
import fcntl
import http.client
import os
import re
import resource
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
