"""What the API, health and metrics say of one moment, while nothing stirs that would make them look again (G15)."""
import contextlib
import os
import sqlite3

from support import dag, eventually, states
from test_metrics import samples


def stored(daemon):
    """(active runs, attempts that have ended), from the file itself."""
    path = os.path.join(daemon.data, "pawl.db")
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return tuple(db.execute(f"SELECT count(*) FROM {rows}").fetchone()[0] for rows in (
            "active_runs", "attempts WHERE state <> 'running'"))


def counted(daemon):
    """(active runs, tasks that have not ended, of them ready), as health and the metrics have it; None: they differ."""
    engine = daemon.get("/health").json["components"]["engine"]
    metrics = samples(daemon.get("/metrics").text)
    health = tuple(engine[key] for key in ("activeRuns", "waitingTasks", "readyTasks"))
    told = tuple(metrics[f"scheduler_{key}", None] for key in ("active_runs", "waiting_tasks", "ready_tasks"))
    return health if health == told else None


def listed(daemon):
    """(active runs, tasks that run), from the lists."""
    runs = [run["runId"] for state in ("pending", "running") for run in daemon.get(f"/api/v1/runs?state={state}").json]
    tasks = [(task["runId"], task["taskId"], task["attempt"]) for task in daemon.get("/api/v1/workers/tasks").json]
    assert daemon.get("/api/v1/cluster").json["activeRuns"] == len(runs)
    return runs, tasks


def test_all_that_is_shown_agrees(make_daemon, gate):
    """A task is shown as running when its program can look, what waits beside and behind it as that, and an ended run as
    ended when its event is there. What is told later (the start of what a worker had in its queue, the counts) comes by
    itself."""
    daemon, place = make_daemon("--workers", "1", "--slots", "1").start(), gate()
    run_id = daemon.start_run("agree", dag({"id": "first", "command": place.command("exit 3")},
                                           {"id": "beside", "command": place.command()},
                                           {"id": "behind", "command": "true", "dependencies": ["first"]},
                                           {"id": "last", "command": "true", "dependencies": ["beside"]}))
    place.wait_arrival()
    status = daemon.run(run_id)
    assert states(status) == {"first": "running", "beside": "queued", "behind": "pending", "last": "pending"}
    assert {state: count for state, count in status["counts"].items() if count} == {"running": 1, "queued": 1, "pending": 2}
    assert listed(daemon) == ([run_id], [(run_id, "first", 1)])
    eventually(lambda: counted(daemon) == (1, 4, 1), f"the counts of what waits: {counted(daemon)}")
    assert stored(daemon) == (1, 0)
    place.open()
    place.wait_arrival()
    eventually(lambda: states(daemon.run(run_id)) == {"first": "failed", "beside": "running", "behind": "skipped",
                                                      "last": "pending"}, "what a worker began by itself is shown")
    assert listed(daemon) == ([run_id], [(run_id, "beside", 1)])
    eventually(lambda: counted(daemon) == (1, 2, 0), f"the counts after a failure: {counted(daemon)}")
    assert stored(daemon) == (1, 1)
    place.open()
    ended = daemon.wait_run(run_id)
    assert (ended["state"], listed(daemon), stored(daemon)) == ("failed", ([], []), (0, 3))
    eventually(lambda: counted(daemon) == (0, 0, 0), f"the counts of nothing: {counted(daemon)}")
