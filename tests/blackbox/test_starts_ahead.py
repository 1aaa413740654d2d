"""Brief tasks: workers have their next starts before the last have ended. Nothing may be stuck there, nothing lost, nothing
run twice."""
import os

from support import dag, eventually, states, tasks_by_id


def brief(count, command="true", **fields):
    return [{"id": f"t{i}", "command": command, **fields} for i in range(count)]


def test_nothing_is_stuck_behind_a_long_task(make_daemon, gate):
    """A long one among many brief ones, on every worker but one: what had been sent there to wait goes elsewhere."""
    daemon, waits = make_daemon("--workers", "3", "--slots", "1").start(), gate()
    tasks = brief(600)
    for place in (200, 400):
        tasks[place] = {"id": f"long{place}", "command": waits.command()}
    run_id = daemon.start_run("stuck", dag(*tasks))
    for _ in range(2):
        waits.wait_arrival()
    eventually(lambda: daemon.run(run_id)["counts"]["succeeded"] == 598, "the end of all brief tasks")
    counts = daemon.run(run_id)["counts"]
    assert counts["running"] == 2 and counts["queued"] == 0
    for _ in range(2):
        waits.open()
    run = daemon.wait_run(run_id)
    assert run["state"] == "succeeded" and all(task["attempt"] == 1 for task in run["tasks"])


def test_what_waits_behind_long_tasks_is_soon_begun_elsewhere(make_daemon, gate):
    """While there is ever more to start on the only free slot: what had been sent to the others comes before most of it."""
    daemon, waits = make_daemon("--workers", "4", "--slots", "1").start(), gate()
    tasks = brief(2400)
    long = ["t600", "t601", "t602"]
    for task in long:
        tasks[int(task[1:])] = {"id": task, "command": waits.command()}
    made = daemon.create("behind", dag(*tasks))["id"]
    for _ in range(3):
        run_id = daemon.trigger(made)
        for _ in long:
            waits.wait_arrival()
        eventually(lambda: daemon.get(f"/api/v1/runs/{run_id}?taskLimit=0").json["counts"]["succeeded"] > 1600,
                   "most of the brief tasks")
        first = daemon.run(run_id)["tasks"][:800]
        assert [task["taskId"] for task in first if task["state"] != "succeeded"] == long
        for _ in long:
            waits.open()
        run = daemon.wait_run(run_id)
        assert run["state"] == "succeeded" and all(task["attempt"] == 1 for task in run["tasks"])


def test_all_workers_are_busy_for_long(make_daemon, gate):
    """What waits for them waits as ever: it begins when one is free, whichever that is, and nothing is asked for meanwhile."""
    daemon, waits = make_daemon("--workers", "2", "--slots", "1").start(), gate()
    tasks = brief(300)
    for place in (150, 151):
        tasks[place] = {"id": f"long{place}", "command": waits.command()}
    run_id = daemon.start_run("busy", dag(*tasks))
    for _ in range(2):
        waits.wait_arrival()
    assert daemon.run(run_id)["counts"]["queued"] > 100
    waits.open()
    eventually(lambda: daemon.run(run_id)["counts"]["succeeded"] == 299, "the end of all brief tasks")
    waits.open()
    assert daemon.wait_run(run_id)["state"] == "succeeded"


def test_canceled_in_the_middle(make_daemon):
    daemon = make_daemon().start()
    count = os.path.join(daemon.folder, "count")
    made = daemon.create("canceled", dag(*brief(2000, f"echo $PAWL_TASK_ID >> {count}")))["id"]
    run_id = daemon.trigger(made)
    eventually(lambda: daemon.run(run_id)["counts"]["succeeded"] > 200, "its middle")
    daemon.post(f"/api/v1/runs/{run_id}/cancel", status=202)
    run = daemon.wait_run(run_id)
    assert run["state"] == "canceled" and set(states(run).values()) <= {"succeeded", "canceled"}
    with open(count, encoding="utf-8") as text:
        ran = text.read().split()
    assert len(ran) == len(set(ran))
    tasks = tasks_by_id(run)
    assert {task for task in tasks if tasks[task]["state"] == "succeeded"} <= set(ran)
    assert all(tasks[task]["startedAt"] for task in ran), "what ran says when it began"
    again = daemon.wait_run(daemon.trigger(made))
    assert again["state"] == "succeeded", "no slot was lost"


def test_killed_and_stopped_again_and_again(make_daemon):
    """Whatever moment it is, each task runs once: the workers live, and say what they have begun and what not."""
    daemon = make_daemon().start()
    count = os.path.join(daemon.folder, "count")
    made = daemon.create("often", dag(*brief(1500, f"echo $PAWL_RUN_ID/$PAWL_TASK_ID >> {count}")))["id"]
    run_ids = []
    for round_ in range(6):
        run_ids.append(daemon.trigger(made))
        eventually(lambda: daemon.run(run_ids[-1])["counts"]["succeeded"] > 50 + 61 * round_, "its middle")
        (daemon.stop if round_ % 3 == 2 else daemon.kill)()
        daemon.start()
    for run_id in run_ids:
        run = daemon.wait_run(run_id, 120)
        assert run["counts"]["succeeded"] == 1500, run["counts"]
        assert all(task["attempt"] == 1 for task in run["tasks"])
    with open(count, encoding="utf-8") as text:
        lines = text.read().split()
    assert len(lines) == len(set(lines)) == 1500 * len(run_ids)


def test_a_drained_worker_begins_nothing(make_daemon):
    daemon = make_daemon("--workers", "2", "--slots", "2").start()
    run_id = daemon.start_run("drained", dag(*brief(1500)))
    eventually(lambda: daemon.run(run_id)["counts"]["succeeded"] > 200, "its middle")
    drained = daemon.workers()[0]["id"]
    daemon.post(f"/api/v1/workers/{drained}/drain", status=204)
    eventually(lambda: [(one["status"], one["runningTasks"]) for one in daemon.workers() if one["id"] == drained]
               == [("draining", 0)], "the end of what it runs")
    done = daemon.run(run_id)["counts"]["succeeded"]
    assert done < 1500
    late = {task["taskId"] for task in daemon.run(run_id)["tasks"] if task["state"] in ("pending", "queued")}
    run = daemon.wait_run(run_id)
    assert run["state"] == "succeeded"
    begun = [task for task in run["tasks"] if task["taskId"] in late and task["workerId"] == drained]
    assert not begun
