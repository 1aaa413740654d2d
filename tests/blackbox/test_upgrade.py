"""A new binary on the data of an older one while tasks run: the store is migrated, the tasks are taken over."""
import os
import signal
import sqlite3

from support import dag, tasks_by_id

# What each version added to the one before, taken back.
TAKE_BACK = {
    7: ["ALTER TABLE fires DROP COLUMN parallel"],
    6: ["DROP INDEX dags_keeping", "ALTER TABLE dags DROP COLUMN keep_age_ms",
        "ALTER TABLE dags DROP COLUMN keep_runs"],
    5: ["ALTER TABLE active_runs DROP COLUMN trace", "ALTER TABLE runs DROP COLUMN trace"],
    4: ["ALTER TABLE active_runs DROP COLUMN changes", "ALTER TABLE runs DROP COLUMN changes"],
    3: ["DROP TABLE taken", "DROP INDEX active_runs_by_source", "ALTER TABLE meta DROP COLUMN ended_runs",
        "ALTER TABLE meta DROP COLUMN log_bytes"],
    2: ["DROP TABLE fires", "ALTER TABLE dags DROP COLUMN covered_ms",
        "ALTER TABLE active_runs DROP COLUMN scheduled_ms", "ALTER TABLE runs DROP COLUMN scheduled_ms"],
}


def downgrade(data, version):
    with sqlite3.connect(os.path.join(data, "pawl.db")) as store:
        now = store.execute("PRAGMA user_version").fetchone()[0]
        assert now == max(TAKE_BACK), "a version without a way back: write down what it added"
        for step in range(now, version, -1):
            for sql in TAKE_BACK[step]:
                store.execute(sql)
        store.execute(f"PRAGMA user_version = {version}")
    store.close()


def upgrade_under(daemon, there, version):
    old = daemon.execute(f"old{version}", dag({"id": "a", "command": "echo from before"}))["runId"]
    run = daemon.start_run(f"held{version}", dag(
        {"id": "a", "command": f"echo began; {there.command('echo ended; exit 7')}"},
        {"id": "b", "command": "true", "dependencies": ["a"]}))
    pid = there.wait_arrival()
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    downgrade(daemon.data, version)
    daemon.start()
    task = daemon.task(run, "a")
    assert task["state"] == "running" and task["attempt"] == 1 and os.path.exists(f"/proc/{pid}")
    there.open()
    status = daemon.wait_run(run)
    task = tasks_by_id(status)["a"]
    assert status["state"] == "failed" and task["exitCode"] == 7 and task["attempt"] == 1
    assert daemon.log_of(run, "a") == "began\nended\n"
    assert daemon.log_of(old, "a") == "from before\n"
    assert there.arrivals() == 0


def test_tasks_outlive_an_upgrade(make_daemon, gate):
    there = gate()
    daemon = make_daemon("--drain", "100ms").start()
    for version in sorted(TAKE_BACK, reverse=True):
        upgrade_under(daemon, there, version - 1)
