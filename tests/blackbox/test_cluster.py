"""Nodes on one PostgreSQL: what one has begun goes on when it is killed, stopped or cut off."""
import contextlib
import os
import pathlib
import signal
import threading

import pytest
from support import eventually, wait_pid_gone

LEASE_S = 3

# A task that leaves word of each attempt, says when the process of an earlier one is still there, and waits for the test.
TASK = """
name: guarded
tasks:
  - id: first
    type: shell
    command: |
      for other in {folder}/pid.*; do
        [ -e "$other" ] && kill -0 "$(cat "$other")" && echo two > {folder}/violation
      done
      echo $$ > {folder}/pid.$PAWL_ATTEMPT
      echo "start $PAWL_ATTEMPT" >> {folder}/ledger
      while ! [ -e {folder}/go ]; do sleep 0.1; done
      echo "end $PAWL_ATTEMPT" >> {folder}/ledger
  - id: second
    type: shell
    command: echo second >> {folder}/ledger
    dependencies: [first]
"""


@pytest.fixture
def cluster(postgres, make_daemon):
    """cluster(2): so many nodes on a new database, started."""
    def make(count):
        url = postgres.database()
        return [make_daemon("--store", url, "--lease", f"{LEASE_S}s", "--workers", "1").start() for _ in range(count)]
    return make


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def lines(folder):
    ledger = folder / "ledger"
    return ledger.read_text().split("\n")[:-1] if ledger.exists() else []


def begin(node, folder):
    run = node.start_run("guarded", TASK.format(folder=folder))
    eventually(lambda: lines(folder) == ["start 1"], "the first attempt")
    return run


def ended(node, run):
    """Through a node that need not own it: the run's status once it has ended."""
    def look():
        status = node.run(run)
        return status if status["state"] in ("succeeded", "failed", "canceled") else None
    return eventually(look, f"the end of run {run}")


def nodes(node):
    return node.get("/api/v1/cluster").json["nodes"]


def is_ready(node):
    """A node that begins a new life does not listen for a moment."""
    with contextlib.suppress(OSError):
        return node.send("GET", "/ready").status == 200
    return False


def check_taken_over(node, run, folder):
    eventually(lambda: "start 2" in lines(folder), "the second attempt")
    (folder / "go").touch()
    status = ended(node, run)
    assert status["state"] == "succeeded", status
    assert lines(folder) == ["start 1", "start 2", "end 2", "second"]
    assert not (folder / "violation").exists()


def test_a_killed_node_is_taken_over(cluster, folder):
    one, two = cluster(2)
    run = begin(one, folder)
    one.kill()
    check_taken_over(two, run, folder)
    assert not two.get(f"/api/v1/runs/{run}").json["error"]


def test_a_node_restarted_in_time_keeps_its_tasks(cluster, folder):
    one, two = cluster(2)
    run = begin(one, folder)
    one.kill()
    one.start()
    (folder / "go").touch()
    assert ended(two, run)["state"] == "succeeded"
    assert lines(folder) == ["start 1", "end 1", "second"]


def test_a_paused_node_learns_that_it_is_dead(cluster, folder):
    one, two = cluster(2)
    run = begin(one, folder)
    one.signal(signal.SIGSTOP)
    check_taken_over(two, run, folder)
    one.signal(signal.SIGCONT)
    eventually(lambda: len(nodes(two)) == 2, "the node's new life")
    eventually(lambda: is_ready(one), "the node to serve again")
    assert one.execute("again", "name: again\ntasks: [{id: a, type: shell, command: 'true'}]")["state"] == "succeeded"
    assert lines(folder) == ["start 1", "start 2", "end 2", "second"]


def test_any_node_answers(cluster, folder):
    one, two = cluster(2)
    run = begin(one, folder)
    assert two.run(run)["state"] == "running"
    assert [task["state"] for task in two.run(run)["tasks"]] == ["running", "pending"]
    assert two.post(f"/api/v1/runs/{run}/cancel").status == 202
    assert ended(one, run)["state"] == "canceled"
    assert two.post(f"/api/v1/runs/{run}/cancel").code == "RUN_FINISHED"
    answer = two.get("/api/v1/cluster").json
    assert len(answer["nodes"]) == 2 and answer["leaderId"] in [node["id"] for node in answer["nodes"]]
    eventually(lambda: {worker["node"] for worker in two.workers()} == {node["id"] for node in nodes(two)},
               "the workers of both")


def test_the_database_restarts(postgres, cluster, folder):
    one, two = cluster(2)
    run = begin(one, folder)
    for how in (signal.SIGINT, signal.SIGQUIT):
        postgres.stop(how)
        answer = one.get("/api/v1/runs", status=503)
        assert answer.code == "STORE_AWAY" and "retry-after" in answer.headers
        postgres.start()
    (folder / "go").touch()
    assert ended(two, run)["state"] == "succeeded"
    assert lines(folder) == ["start 1", "end 1", "second"]


def test_the_database_is_away_for_longer_than_a_lease(postgres, cluster, folder):
    (one,) = cluster(1)
    run = begin(one, folder)
    pid = int((folder / "pid.1").read_text())
    postgres.stop()
    wait_pid_gone(pid)
    postgres.start()
    check_taken_over(one, run, folder)


def test_logs_outlive_their_node(cluster):
    one, two = cluster(2)
    run = one.execute("talks", "name: talks\ntasks: [{id: a, type: shell, command: 'seq 1 20000; sleep 0.3'}]")["runId"]
    whole = one.log_of(run, "a")
    assert whole.endswith("20000\n")
    one.kill()
    assert two.log_of(run, "a") == whole
    assert two.log_of(run, "a", offset=10, limit=20) == whole[10:30]


NAP = "name: nap\ntasks: [{id: a, type: shell, command: 'sleep 0.5'}]"


def test_runs_go_where_slots_are_free(cluster):
    one, two = cluster(2)
    nap = one.create("nap", NAP)["id"]
    runs = [one.trigger(nap) for _ in range(20)]
    states = [ended(two, run) for run in runs]
    assert {status["state"] for status in states} == {"succeeded"}
    assert len({status["tasks"][0]["workerId"] for status in states}) == 2, "one worker a node: both had some"
    assert {status["tasks"][0]["attempt"] for status in states} == {1}


def test_a_node_that_drains_hands_over(cluster, folder):
    one, two = cluster(2)
    begin(one, folder)
    nap = one.create("nap", NAP)["id"]
    runs = [one.trigger(nap) for _ in range(10)]
    one.signal(signal.SIGTERM)
    eventually(lambda: two.get("/api/v1/cluster").json["leaderId"] == two.workers()[0]["node"], "another leader")
    eventually(lambda: any(two.run(run)["state"] == "succeeded" for run in runs), "runs that had not begun, elsewhere")
    assert lines(folder) == ["start 1"]
    (folder / "go").touch()
    assert one.wait() == 0
    assert {ended(two, run)["state"] for run in runs} == {"succeeded"}
    eventually(lambda: "second" in lines(folder), "the rest of the run, on the other node")
    assert lines(folder) == ["start 1", "end 1", "second"]


def test_schedules_fire_once(cluster):
    nodes_ = cluster(3)
    dag = nodes_[1].create("often", "name: often\nschedule: '* * * * *'\ntasks: [{id: a, type: shell, command: 'true'}]")
    leader = eventually(lambda: nodes_[2].get("/api/v1/cluster").json["leaderId"], "a leader")
    first = next(node for node in nodes_ if leader == node.workers()[0]["node"])
    rest = [node for node in nodes_ if node is not first]
    first.kill()
    eventually(lambda: rest[0].get("/api/v1/cluster").json["leaderId"] not in (None, leader), "another leader")
    runs = eventually(lambda: rest[1].get(f"/api/v1/dags/{dag['id']}/runs").json, "a run of the schedule")
    assert len({run["scheduledFor"] for run in runs}) == len(runs)


def leader_of(pair):
    """The one that fires schedules, by its own word, and the other."""
    def look():
        leads = ["\nscheduler_leader 1\n" in node.get("/metrics").text for node in pair]
        return leads if sum(leads) == 1 else None
    first = eventually(look, "one leader").index(True)
    assert pair[0].get("/api/v1/cluster").json["leaderId"] == node_of(pair[first])
    return pair[first], pair[1 - first]


def test_an_overlap_is_seen_on_all_nodes(postgres, cluster, folder):
    first, second = leader_of(cluster(2))
    command = f"echo start >> {folder}/ledger; while ! [ -e {folder}/go ]; do sleep 0.1; done"
    text = f"""
name: alone
schedule: {{cron: '* * * * *', catchup: latest}}
tasks: [{{id: a, type: shell, command: '{command}'}}]
"""
    dag = second.create("alone", text)["id"]
    # as if the last ten minutes had been missed; another version makes the leader look
    postgres.sql(store_of(first), f"UPDATE pawl.dags SET covered_ms = covered_ms - 600000 WHERE id = '{dag}'")
    answer = second.send("PUT", f"/api/v1/dags/{dag}", {"yaml": text + "description: two\n"})
    assert answer.status == 200, answer
    eventually(lambda: lines(folder) == ["start"], "a run of the schedule")
    first.signal(signal.SIGTERM)
    eventually(lambda: "\nscheduler_leader 1\n" in second.get("/metrics").text, "another leader")
    skipped = "SELECT count(*) FROM pawl.fires WHERE outcome = 'skipped' AND reason = 'overlap' AND run IS NOT NULL"
    eventually(lambda: postgres.sql(store_of(first), skipped) != "0", "an instant that found a run on the other node")
    assert lines(folder) == ["start"]
    (folder / "go").touch()
    assert first.wait() == 0


def test_a_pause_through_another_node_holds_at_once(postgres, make_daemon, folder):
    """The node that leads looks for changes of others every few seconds; what it decides before that is refused."""
    url = postgres.database()
    first, second = leader_of([make_daemon("--store", url, "--lease", "30s").start() for _ in range(2)])
    command = f"echo start >> {folder}/ledger; while ! [ -e {folder}/go ]; do sleep 0.1; done"
    text = f"""
name: held
schedule: {{cron: '* * * * *', catchup: all, overlap: queue}}
tasks: [{{id: a, type: shell, command: '{command}'}}]
"""
    dag = second.create("held", text)["id"]
    # as if the last ten minutes had been missed; another version makes the leader look
    postgres.sql(url, f"UPDATE pawl.dags SET covered_ms = covered_ms - 600000 WHERE id = '{dag}'")
    assert second.send("PUT", f"/api/v1/dags/{dag}", {"yaml": text + "description: two\n"}).status == 200
    eventually(lambda: lines(folder) == ["start"], "a run of the schedule")
    eventually(lambda: int(postgres.sql(url, "SELECT count(*) FROM pawl.fires WHERE outcome = 'queued'")) >= 9,
               "instants that wait for it")
    assert second.post(f"/api/v1/dags/{dag}/pause").status == 204
    (folder / "go").touch()
    assert ended(first, first.get(f"/api/v1/dags/{dag}/runs").json[0]["runId"])["state"] == "succeeded"
    first.execute("other", "name: other\ntasks: [{id: a, type: shell, command: 'true'}]") # it has had its turns
    assert lines(folder) == ["start"]
    assert postgres.sql(url, "SELECT count(*) FROM pawl.fires WHERE outcome = 'fired'") == "1"
    assert second.post(f"/api/v1/dags/{dag}/resume").status == 204
    eventually(lambda: len(lines(folder)) >= 9, "those that waited")


def test_the_end_of_a_pause_through_another_node(postgres, make_daemon):
    """The node that leads is not told: what was due in the pause is skipped as that, what was due since is made up for."""
    url = postgres.database()
    first, second = leader_of([make_daemon("--store", url, "--lease", "5s").start() for _ in range(2)])
    text = """
name: held
schedule: {cron: '* * * * *', catchup: all, overlap: queue}
tasks: [{id: a, type: shell, command: 'true'}]
"""
    dag = second.create("held", text)["id"]
    assert second.post(f"/api/v1/dags/{dag}/pause").status == 204
    # as if the pause had begun twenty minutes ago and ended ten minutes ago, when nobody led
    postgres.sql(url, f"UPDATE pawl.dags SET covered_ms = covered_ms - 1200000 WHERE id = '{dag}'")
    first.signal(signal.SIGSTOP)
    assert second.post(f"/api/v1/dags/{dag}/resume").status == 204
    postgres.sql(url, f"UPDATE pawl.dags SET resumed_at = resumed_at - interval '10 minutes' WHERE id = '{dag}'")
    first.signal(signal.SIGCONT)
    count = "SELECT coalesce(sum(count), 0) FROM pawl.fires WHERE "
    eventually(lambda: int(postgres.sql(url, count + "outcome = 'fired'")) >= 10, "what was due since")
    assert int(postgres.sql(url, count + "outcome = 'skipped' AND reason = 'paused'")) == 10
    assert postgres.sql(url, count + "outcome = 'skipped' AND reason <> 'paused'") == "0"


def test_a_backfill_through_any_node(postgres, cluster):
    """The one that leads fires it, whether the node that was asked made the DAG, knows it or does not."""
    trio = cluster(3)
    first = leader_of(trio[:2])[0] if trio[2].get("/metrics").text.count("\nscheduler_leader 1\n") == 0 else trio[2]
    rest = [node for node in trio if node is not first]
    text = "name: old\nschedule: '0 0 1 * *'\ntasks: [{id: a, type: shell, command: 'true'}]"
    dag = rest[0].create("old", text)["id"]
    for month, node in enumerate([rest[0], rest[1], first, rest[1]], 1):
        asked = {"from": f"2026-{month:02}-01T00:00:00Z", "to": f"2026-{month:02}-02T00:00:00Z"}
        assert node.post(f"/api/v1/dags/{dag}/backfill", asked, 202).json["accepted"] == 1

        def done(month=month):
            runs = rest[0].get(f"/api/v1/dags/{dag}/runs").json
            return len(runs) == month and all(run["state"] == "succeeded" for run in runs)
        eventually(done, f"backfill {month}")
    again = rest[1].post(f"/api/v1/dags/{dag}/backfill", asked, 202).json
    assert (again["accepted"], again["firedBefore"]) == (0, 1), again


def test_backfills_through_all_nodes_are_bounded(postgres, cluster, folder):
    """A thousand instants of a DAG wait at most, whoever was asked; also when all are asked at once."""
    trio = cluster(3)
    command = f"while ! [ -e {folder}/go ]; do sleep 0.1; done"
    text = f"name: old\nschedule: '* * * * *'\ntasks: [{{id: a, type: shell, command: '{command}'}}]"
    dag = trio[0].create("old", text)["id"]
    answers = []

    def ask(node, day):
        asked = {"from": f"2026-01-{day:02}T00:00:00Z", "to": f"2026-01-{day:02}T10:00:00Z"}    # 601
        answers.append(node.post(f"/api/v1/dags/{dag}/backfill", asked))
    threads = [threading.Thread(target=ask, args=(node, day)) for day, node in enumerate(trio, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ask(trio[1], 4)
    ask(trio[2], 5)
    waiting = int(postgres.sql(store_of(trio[0]), "SELECT count(*) FROM pawl.fires WHERE outcome = 'queued'"))
    assert waiting + 1 == 601, waiting      # all of one request, one of which runs, and none of another
    assert {answer.status for answer in answers} == {202, 503}, answers
    assert {answer.status for answer in answers[3:]} == {503}
    assert all(answer.code == "FULL" and "retry-after" in answer.headers for answer in answers if answer.status == 503)


# ---- placement: any ----

# Four tasks on nodes of two slots each. Each leaves word, looks for a live process of an earlier attempt, and waits.
SPREAD = """
name: spread
placement: {placement}
defaults: {{onLost: {on_lost}}}
tasks: [{tasks}]
"""
SPREAD_TASK = """{{
  id: t{i}, type: shell, command: "
    for other in {folder}/pid.$PAWL_TASK_ID.*; do
      [ -e $other ] && kill -0 $(cat $other) && echo two > {folder}/violation;
    done;
    echo $$ > {folder}/pid.$PAWL_TASK_ID.$PAWL_ATTEMPT;
    echo said by $PAWL_TASK_ID;
    echo start $PAWL_TASK_ID $PAWL_ATTEMPT >> {folder}/ledger;
    while ! [ -e {folder}/go ]; do sleep 0.1; done;
    {after}
    echo end $PAWL_TASK_ID $PAWL_ATTEMPT >> {folder}/ledger"
}}"""


def spread(folder, placement="any", on_lost="retry", after=""):
    tasks = ", ".join(SPREAD_TASK.format(i=i, folder=folder, after=after) for i in range(4))
    return SPREAD.format(placement=placement, on_lost=on_lost, tasks=tasks)


def starts(folder):
    return sorted(line[6:] for line in lines(folder) if line.startswith("start "))


def begin_spread(owner, other, folder, **options):
    """A run of which two tasks run on each node: its id, and the tasks that run on the other one."""
    run = owner.start_run("spread", spread(folder, **options))
    eventually(lambda: starts(folder) == [f"t{i} 1" for i in range(4)], "four tasks on two times two slots")
    workers = {worker["id"] for worker in other.workers() if worker["node"] == node_of(other)}

    def look():
        there = [task["taskId"] for task in owner.run(run)["tasks"] if task["workerId"] in workers]
        return there if len(there) == 2 else None
    return run, eventually(look, "the workers of the other node")


def store_of(node):
    return node.options[node.options.index("--store") + 1]


def node_of(node):
    return pathlib.Path(node.data, "node").read_text().strip()


def finish(node, run, folder, wanted="succeeded"):
    (folder / "go").touch()
    status = ended(node, run)
    assert status["state"] == wanted, status
    assert not (folder / "violation").exists()
    return {task["taskId"]: task for task in status["tasks"]}


def test_attempts_spread_over_nodes(cluster, folder):
    one, two = cluster(2)
    run, there = begin_spread(one, two, folder)
    assert {task["state"] for task in two.run(run)["tasks"]} == {"running"}
    tasks = finish(two, run, folder)
    assert {task["attempt"] for task in tasks.values()} == {1}
    assert len({task["workerId"] for task in tasks.values()}) == 2
    for node in (one, two):
        assert [node.log_of(run, f"t{i}") for i in range(4)] == [f"said by t{i}\n" for i in range(4)]
    assert len(there) == 2


def test_a_run_that_stays_on_its_node(cluster, folder):
    one, two = cluster(2)
    (folder / "go").touch()
    run = one.start_run("spread", spread(folder, placement="node", after="sleep 0.5;"))
    assert len({task["workerId"] for task in finish(two, run, folder).values()}) == 1


def test_long_logs_come_with_their_attempts(cluster, folder):
    one, two = cluster(2)
    run, there = begin_spread(one, two, folder, after="seq 1 20000;")
    finish(one, run, folder)
    two.kill()
    for task in there:
        assert one.log_of(run, task).endswith("\n20000\n")


def test_a_node_that_runs_for_another_is_killed(cluster, folder):
    one, two = cluster(2)
    run, there = begin_spread(one, two, folder)
    two.kill()
    eventually(lambda: all(one.task(run, task)["state"] != "running" for task in there), "two attempts that are lost")
    tasks = finish(one, run, folder)
    assert {id_: task["attempt"] for id_, task in tasks.items()} == {f"t{i}": 1 + (f"t{i}" in there) for i in range(4)}


def test_what_ran_elsewhere_is_not_repeated_unasked(cluster, folder):
    one, two = cluster(2)
    run, there = begin_spread(one, two, folder, on_lost="fail")
    two.kill()
    eventually(lambda: all(one.task(run, task)["state"] == "failed" for task in there), "two lost tasks")
    tasks = finish(one, run, folder, "failed")
    assert {tasks[task]["errorType"] for task in there} == {"lost"}
    assert {task["attempt"] for task in tasks.values()} == {1}


def test_an_owner_is_killed_while_others_run_for_it(cluster, folder):
    one, two = cluster(2)
    run, there = begin_spread(one, two, folder)
    one.kill()
    eventually(lambda: two.run(run)["state"] == "running" and len(starts(folder)) >= 4, "the run")
    (folder / "go").touch()
    tasks = finish(two, run, folder)
    assert {id_: task["attempt"] for id_, task in tasks.items() if id_ in there} == dict.fromkeys(there, 1)
    assert {task["attempt"] for id_, task in tasks.items() if id_ not in there} == {2}


@pytest.mark.parametrize("who", [0, 1])
def test_either_is_restarted_in_time(cluster, folder, who):
    pair = cluster(2)
    run, _ = begin_spread(*pair, folder)
    pair[who].kill()
    pair[who].start()
    tasks = finish(pair[0], run, folder)
    assert {task["attempt"] for task in tasks.values()} == {1}
    assert starts(folder) == [f"t{i} 1" for i in range(4)]


def test_a_cancel_reaches_all_nodes(cluster, folder):
    one, two = cluster(2)
    run, _ = begin_spread(one, two, folder)
    pids = [int(path.read_text()) for path in folder.glob("pid.*")]
    assert two.post(f"/api/v1/runs/{run}/cancel").status == 202
    assert ended(one, run)["state"] == "canceled"
    for pid in pids:
        wait_pid_gone(pid)
    assert {task["state"] for task in one.run(run)["tasks"]} == {"canceled"}


def test_a_node_that_drains_ends_what_it_runs_for_another(cluster, folder):
    one, two = cluster(2)
    run, _ = begin_spread(one, two, folder)
    two.signal(signal.SIGTERM)
    (folder / "go").touch()
    assert two.wait() == 0
    assert {task["attempt"] for task in finish(one, run, folder).values()} == {1}


def test_a_result_that_comes_too_late_is_refused(postgres, cluster, folder):
    one, two = cluster(2)
    run, there = begin_spread(one, two, folder)
    postgres.sql(store_of(one),
                 "UPDATE pawl.offers SET state = 'lost' WHERE fence = (SELECT min(fence) FROM pawl.offers)")
    eventually(lambda: len(starts(folder)) == 5, "a second attempt of what was called lost")
    eventually(lambda: "not its business any more" in two.log(), "a result that was refused")
    (folder / "violation").unlink(missing_ok=True)  # both ran, since the first was called lost by us
    tasks = finish(one, run, folder)
    assert sorted(tasks[task]["attempt"] for task in there) == [1, 2]
    assert postgres.sql(store_of(one), "SELECT count(*) FROM pawl.offers") == "0"


def test_a_node_restarted_whose_worker_answers_late(postgres, make_daemon, folder):
    """Until it does nobody knows what it runs for the other node: that is not refused."""
    url = postgres.database()
    one, two = [make_daemon("--store", url, "--lease", "10s", "--workers", "1").start() for _ in range(2)]
    run, _ = begin_spread(one, two, folder)
    worker, = two.worker_pids()
    os.kill(worker, signal.SIGSTOP)
    two.kill()
    two.start()
    os.kill(worker, signal.SIGCONT)
    tasks = finish(one, run, folder)
    assert {task["attempt"] for task in tasks.values()} == {1}
    assert starts(folder) == [f"t{i} 1" for i in range(4)]
