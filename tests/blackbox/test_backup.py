"""Backup beside a daemon under load, and what a restored copy does and does not do."""
import json
import os
import sqlite3
import subprocess
import threading

import pytest
from support import Client, dag, eventually, pawl_path, tasks_by_id

LOUD = "i=0; while [ $i -lt 200 ]; do echo line $i of a log that is a file; i=$((i+1)); done"


def pawl(*arguments, status=0, **more):
    done = subprocess.run([pawl_path(), *arguments], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, **more)
    assert done.returncode == status, f"{arguments}: {done.returncode} {done.stdout} {done.stderr}"
    return done


def runs_of(data):
    return {run["runId"]: run for run in
            json.loads(pawl("runs", "list", "--data", data, "-n", "1000", "-o", "json").stdout)}


def assert_private(folder):
    for path, folders, names in os.walk(folder):
        for name in folders + names:
            assert os.lstat(os.path.join(path, name)).st_mode & 0o077 == 0, name


class Load:
    """Runs all the time, in a thread of its own."""

    def __init__(self, daemon, dag_id):
        self.daemon, self.dag_id, self.done, self.made = daemon, dag_id, threading.Event(), 0
        self.thread = threading.Thread(target=self.work)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()

    def work(self):
        with Client(self.daemon.port) as client:
            while not self.done.is_set():
                self.made += client.send("POST", f"/api/v1/dags/{self.dag_id}/runs").status == 202


def test_under_load_and_back(make_daemon, gate, tmp_path):
    daemon, there, backup = make_daemon().start(), gate(), str(tmp_path / "backup")
    before = daemon.execute("before", dag({"id": "a", "command": LOUD}, {"id": "b", "command": "echo short"}))["runId"]
    failed = daemon.execute("failing", dag({"id": "f", "command": "exit 3"}))["runId"]
    held = daemon.start_run("held", dag({"id": "h", "command": f"echo began; {there.command()}"},
                                        {"id": "next", "command": "echo twice", "dependencies": ["h"]}))
    there.wait_arrival()
    eventually(lambda: daemon.log_of(held, "h") == "began\n", "the log of what runs")
    pawl("token", "create", "--role", "viewer", "--name", "visitor", "--data", daemon.data)
    with Load(daemon, daemon.create("load", dag({"id": "x", "command": "echo x"}))["id"]):
        told = json.loads(pawl("backup", backup, "--data", daemon.data, "-o", "json").stdout)
    assert told["path"] == backup and told["logFiles"] >= 1
    assert_private(backup)
    assert sorted(os.listdir(backup)) == ["audit.log", "backup.json", "logs", "node", "pawl.db", "tokens"]
    there.open()
    assert daemon.wait_run(held)["state"] == "succeeded"  # the original goes on
    full = runs_of(daemon.data)

    copy = make_daemon()
    restored = pawl("restore", backup, "--data", copy.data)
    assert "canceled" in restored.stderr
    pawl("fsck", "--data", copy.data)
    runs = runs_of(copy.data)
    assert {before, failed, held} <= set(runs) <= set(full)
    assert runs[before] == full[before] and runs[failed] == full[failed]
    assert {run["state"] for run in runs.values()} <= {"succeeded", "failed", "canceled"}
    copy.start()
    status = copy.run(held)
    assert status["state"] == "canceled" and tasks_by_id(status)["next"]["attempt"] == 0
    assert tasks_by_id(status)["h"]["errorType"] == "lost"
    assert copy.log_of(before, "a") == daemon.log_of(before, "a") and copy.log_of(before, "b") == "short\n"
    assert copy.log_of(held, "h").startswith("began\n")
    assert [letter["runId"] for letter in copy.get("/api/v1/dlq").json] == [failed]
    assert pawl("token", "list", "--data", copy.data).stdout.count("visitor") == 1
    rerun = copy.post(f"/api/v1/runs/{held}/rerun", {"from": "failed"}, 202).json["runId"]  # by a person's will only
    there.wait_arrival()
    there.open()
    assert copy.wait_run(rerun)["state"] == "succeeded"


def test_without_a_daemon(make_daemon, tmp_path):
    daemon, backup = make_daemon().start(), str(tmp_path / "backup")
    run = daemon.execute("a", dag({"id": "a", "command": LOUD}))["runId"]
    daemon.kill()  # what is committed lies in the write-ahead log
    saved = pawl("backup", backup, "--data", daemon.data)
    copy = make_daemon()
    restored = pawl("restore", backup, "--data", copy.data)
    assert runs_of(copy.data)[run]["state"] == "succeeded"
    assert restored.stderr == saved.stderr and " 1 log files of " in saved.stderr, "the same sizes, and nothing of canceled runs"


def test_instants_since_then_are_missed_not_fired(make_daemon, tmp_path):
    daemon, backup = make_daemon().start(), str(tmp_path / "backup")
    made = daemon.create("cron", dag({"id": "a", "command": "true"},
                                     schedule={"cron": "0 0 1 1 *", "timezone": "UTC", "catchup": "all"}))
    daemon.stop()

    with sqlite3.connect(os.path.join(daemon.data, "pawl.db")) as store:
        store.execute("UPDATE dags SET covered_ms = covered_ms - 5 * 366 * 86400000")
    pawl("backup", backup, "--data", daemon.data)
    copy = make_daemon()
    pawl("restore", backup, "--data", copy.data)
    copy.start()
    fires = copy.get(f"/api/v1/dags/{made['id']}/fires").json
    assert len(fires) == 1 and fires[0]["outcome"] == "skipped" and fires[0]["count"] in (5, 6)
    assert copy.get("/api/v1/runs").json == []


def test_nothing_is_replaced(make_daemon, tmp_path):
    daemon, backup = make_daemon().start(), str(tmp_path / "backup")
    pawl("backup", backup, "--data", daemon.data)
    assert "replaces nothing" in pawl("backup", backup, "--data", daemon.data, status=2).stderr
    assert not os.path.exists(backup + ".part")
    assert "holds a store" in pawl("restore", backup, "--data", daemon.data, status=2).stderr
    os.unlink(os.path.join(backup, "backup.json"))
    assert "no whole backup" in pawl("restore", backup, "--data", str(tmp_path / "new"), status=2).stderr
    assert not os.path.exists(tmp_path / "new")
    pawl("backup", str(tmp_path / "other"), "--data", str(tmp_path / "nothing"), status=1)


def test_a_full_disk(make_daemon, tmp_path):
    daemon = make_daemon().start()
    daemon.execute("a", dag({"id": "a", "command": LOUD}))
    target = tmp_path / "small"
    target.mkdir()
    script = f"mount -t tmpfs -o size=64k none {target} && {{ {pawl_path()} backup {target}/b --data {daemon.data}; " \
             f"echo status $?; ls -A {target}; }}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL)
    if "status" not in done.stdout:
        pytest.skip(f"no small disk without the right to mount: {done.stderr}")
    assert done.stdout == "status 7\n" and "no room" in done.stderr, done
    assert daemon.get("/ready").status == 200
    assert daemon.execute("b", dag({"id": "a", "command": "true"}))["state"] == "succeeded"
