"""Reruns and dead letters: going on after a failure is always a new run."""
import os
import uuid

import pytest
from support import dag, states, tasks_by_id


def fresh(name="letters"):
    return f"{name}-{uuid.uuid4()}"


@pytest.fixture
def flaky(shared):
    """A DAG whose task `b` fails until mend() is called: a -> b -> c, d. Gives (dag id, mend)."""
    flag = os.path.join(shared.folder, fresh("flag"))
    made = shared.create(fresh(), dag(
        {"id": "a", "command": "echo a"},
        {"id": "b", "command": "echo trying; [ -e $FLAG ]", "dependencies": ["a"]},
        {"id": "c", "command": "echo c", "dependencies": ["b"]},
        {"id": "d", "command": "echo d"}, env={"FLAG": flag}))

    def mend():
        with open(flag, "wb"):
            pass

    return made["id"], mend


def letters_of(daemon, run_id):
    return [letter for letter in daemon.get("/api/v1/dlq?limit=1000").json if letter["runId"] == run_id]


def test_a_failed_task_makes_a_letter(shared, flaky):
    run = shared.wait_run(shared.trigger(flaky[0]))
    assert states(run) == {"a": "succeeded", "b": "failed", "c": "skipped", "d": "succeeded"}
    letter, = letters_of(shared, run["runId"])
    task = tasks_by_id(run)["b"]
    assert set(letter) >= {"id", "taskInstanceId", "runId", "dagId", "taskName", "errorType", "errorMessage", "logTail",
                           "totalAttempts", "taskConfig", "resolutionStatus", "resolvedAt", "resolvedBy",
                           "resolutionNotes", "createdAt"}
    assert letter["taskInstanceId"] == task["taskInstanceId"] and letter["dagId"] == flaky[0]
    assert (letter["taskName"], letter["errorType"], letter["totalAttempts"]) == ("b", "exit", 1)
    assert letter["errorMessage"] == task["error"] and letter["logTail"] == "trying\n"
    assert letter["resolutionStatus"] == "pending" and letter["resolvedAt"] is None
    assert letter["dagName"].startswith("letters-")
    assert letter["taskConfig"]["id"] == "b" and "FLAG" in letter["taskConfig"]["command"]
    assert shared.get(f"/api/v1/dlq/{letter['id']}").json == letter
    assert shared.get(f"/api/v1/dlq/{uuid.uuid4()}", 404).code == "DEAD_LETTER_NOT_FOUND"


def test_a_letter_says_what_the_last_attempt_used(shared):
    """As the attempt itself says it; a log that became a file too."""
    burn = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; head -c 5000 /dev/zero | tr '\\0' x; exit 3"
    made = shared.create(fresh(), dag({"id": "b", "command": burn, "retry": {"maxAttempts": 2, "initialDelay": "1ms"}}))
    run = shared.wait_run(shared.trigger(made["id"]))
    letter, = letters_of(shared, run["runId"])
    task = tasks_by_id(run)["b"]
    assert letter["totalAttempts"] == 2
    assert letter["cpuSeconds"] == task["cpuSeconds"] > 0 and letter["maxRssBytes"] == task["maxRssBytes"] > 100_000
    assert letter["logTail"].endswith("xxx")


def test_rerun_failed(shared, flaky):
    dag_id, mend = flaky
    source = shared.wait_run(shared.trigger(dag_id))
    mend()
    answer = shared.post(f"/api/v1/runs/{source['runId']}/rerun", {"from": "failed"}, 202)
    assert answer.json["triggeredBy"] == "rerun" and answer.json["version"] == source["version"]
    run = shared.wait_run(answer.json["runId"])
    tasks = tasks_by_id(run)
    assert run["state"] == "succeeded" and set(states(run).values()) == {"succeeded"}
    assert {task for task, one in tasks.items() if one["keptFrom"]} == {"a", "d"}
    assert tasks["a"]["keptFrom"] == source["runId"] and tasks["a"]["attempt"] == 0 and tasks["b"]["attempt"] == 1
    assert shared.run(source["runId"])["state"] == "failed"
    letter, = letters_of(shared, source["runId"])
    assert letter["resolutionStatus"] == "retried" and letter["resolvedAt"]
    again = shared.post(f"/api/v1/runs/{run['runId']}/rerun", {"from": "failed"})
    assert again.status == 409 and again.code == "NOTHING_TO_RERUN"


def test_rerun_that_fails_resolves_nothing(shared, flaky):
    source = shared.wait_run(shared.trigger(flaky[0]))
    run = shared.wait_run(shared.post(f"/api/v1/runs/{source['runId']}/rerun", {"from": "failed"}, 202).json["runId"])
    assert run["state"] == "failed"
    assert letters_of(shared, source["runId"])[0]["resolutionStatus"] == "pending"
    assert letters_of(shared, run["runId"])[0]["resolutionStatus"] == "pending"


def test_rerun_all_and_task(shared, flaky):
    dag_id, mend = flaky
    mend()
    source = shared.wait_run(shared.trigger(dag_id))
    assert source["state"] == "succeeded"

    def rerun(body):
        run = shared.wait_run(shared.post(f"/api/v1/runs/{source['runId']}/rerun", body, 202).json["runId"])
        assert run["state"] == "succeeded"
        return {task["taskId"] for task in run["tasks"] if not task["keptFrom"]}

    assert rerun({"from": "all"}) == {"a", "b", "c", "d"}
    assert rerun({"from": "task", "taskId": "b"}) == {"b", "c"}
    assert rerun({"from": "task", "taskId": "d"}) == {"d"}


def test_rerun_of_a_task_includes_what_it_needs(shared, flaky):
    dag_id, mend = flaky
    source = shared.wait_run(shared.trigger(dag_id))
    mend()
    run = shared.wait_run(shared.post(f"/api/v1/runs/{source['runId']}/rerun",
                                      {"from": "task", "taskId": "c"}, 202).json["runId"])
    assert {task["taskId"] for task in run["tasks"] if not task["keptFrom"]} == {"b", "c"}
    assert run["state"] == "succeeded"


def test_rerun_of_the_latest_version(shared):
    made = shared.create(fresh(), dag({"id": "a", "command": "true"}, {"id": "b", "command": "false"}))
    source = shared.wait_run(shared.trigger(made["id"]))
    shared.send("PUT", f"/api/v1/dags/{made['id']}",
                {"yaml": dag({"id": "a", "command": "true"}, {"id": "b", "command": "true"},
                             {"id": "new", "command": "true"})})
    target = f"/api/v1/runs/{source['runId']}/rerun"
    same = shared.wait_run(shared.post(target, {"from": "failed"}, 202).json["runId"])
    assert (same["version"], same["state"]) == (1, "failed")
    latest = shared.wait_run(shared.post(target, {"from": "failed", "version": "latest"}, 202).json["runId"])
    assert (latest["version"], latest["state"]) == (2, "succeeded")
    assert {task["taskId"] for task in latest["tasks"] if task["keptFrom"]} == {"a"}


def test_rerun_is_refused(shared, flaky, gate):
    waits = gate()
    active = shared.start_run(fresh(), dag({"id": "a", "command": waits.command()}))
    waits.wait_arrival()
    refused = shared.post(f"/api/v1/runs/{active}/rerun", {"from": "all"})
    assert refused.status == 409 and refused.code == "RUN_ACTIVE"
    waits.open()
    ended = shared.wait_run(active)["runId"]
    target = f"/api/v1/runs/{ended}/rerun"
    for body in ({}, {"from": "some"}, {"from": "task"}, {"from": "all", "taskId": "a"}, {"from": "all", "x": 1},
                 {"from": "all", "version": "oldest"}):
        answer = shared.post(target, body)
        assert answer.status == 400, (body, answer)
    missing = shared.post(target, {"from": "task", "taskId": "none"})
    assert missing.status == 404 and missing.code == "TASK_NOT_FOUND"
    assert shared.post(f"/api/v1/runs/{uuid.uuid4()}/rerun", {"from": "all"}).code == "RUN_NOT_FOUND"


def test_letter_retry(shared, flaky):
    dag_id, mend = flaky
    source = shared.wait_run(shared.trigger(dag_id))
    letter, = letters_of(shared, source["runId"])
    mend()
    answer = shared.post(f"/api/v1/dlq/{letter['id']}/retry", {}, 202)
    assert answer.json["triggeredBy"] == "dlq"
    run = shared.wait_run(answer.json["runId"])
    assert run["state"] == "succeeded"
    assert {task["taskId"] for task in run["tasks"] if not task["keptFrom"]} == {"b", "c"}
    resolved = shared.get(f"/api/v1/dlq/{letter['id']}").json
    assert resolved["resolutionStatus"] == "retried" and resolved["resolvedAt"]
    for action in ("retry", "skip", "resolve"):
        second = shared.post(f"/api/v1/dlq/{letter['id']}/{action}", {})
        assert second.status == 409 and second.code == "ALREADY_RESOLVED", second
        assert run["runId"] in second.json["details"] + second.json["message"]


def test_letter_skip(shared, flaky):
    source = shared.wait_run(shared.trigger(flaky[0]))
    letter, = letters_of(shared, source["runId"])
    answer = shared.post(f"/api/v1/dlq/{letter['id']}/skip", {"reason": "not needed"}, 202)
    run = shared.wait_run(answer.json["runId"])
    assert run["state"] == "succeeded"
    assert states(run) == {"a": "succeeded", "b": "skipped", "c": "succeeded", "d": "succeeded"}
    assert shared.log_of(run["runId"], "c") == "c\n"
    resolved = shared.get(f"/api/v1/dlq/{letter['id']}").json
    assert (resolved["resolutionStatus"], resolved["resolutionNotes"]) == ("skipped", "not needed")


def test_letter_resolve(shared, flaky):
    source = shared.wait_run(shared.trigger(flaky[0]))
    letter, = letters_of(shared, source["runId"])
    shared.post(f"/api/v1/dlq/{letter['id']}/resolve", {"notes": "by hand", "resolvedBy": "ann"}, 204)
    resolved = shared.get(f"/api/v1/dlq/{letter['id']}").json
    assert (resolved["resolutionStatus"], resolved["resolutionNotes"], resolved["resolvedBy"]) == (
        "resolved", "by hand", "ann")
    assert shared.post(f"/api/v1/dlq/{letter['id']}/retry").status == 409


def test_two_people_at_one_letter(shared, flaky):
    """Of many that ask at once, one makes a run, and the others are told which."""
    import concurrent.futures
    source = shared.wait_run(shared.trigger(flaky[0]))
    letter, = letters_of(shared, source["runId"])
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda i: shared.post(f"/api/v1/dlq/{letter['id']}/{['retry', 'skip'][i % 2]}"), range(16)))
    won = [answer.json["runId"] for answer in answers if answer.status == 202]
    assert len(won) == 1 and sorted({answer.status for answer in answers}) == [202, 409]
    assert all(won[0] in (answer.json["details"] or "") for answer in answers if answer.status == 409)
    shared.wait_run(won[0])


def test_lists_and_stats(make_daemon):
    daemon = make_daemon().start()
    empty = daemon.get("/api/v1/dlq/stats").json
    assert (empty["total"], empty["oldestPendingAt"]) == (0, None)
    first = daemon.create("one", dag(*[{"id": f"t{i}", "command": "false"} for i in range(3)]))["id"]
    second = daemon.create("two", dag({"id": "a", "command": "false"}))["id"]
    daemon.wait_run(daemon.trigger(first))
    daemon.wait_run(daemon.trigger(second))
    letters = daemon.get("/api/v1/dlq").json
    assert len(letters) == 4 and letters[0]["dagId"] == second
    daemon.post(f"/api/v1/dlq/{letters[0]['id']}/resolve", {}, 204)
    assert [one["id"] for one in daemon.get("/api/v1/dlq?status=resolved").json] == [letters[0]["id"]]
    assert len(daemon.get("/api/v1/dlq?status=pending").json) == 3
    assert len(daemon.get(f"/api/v1/dlq?dagId={first}&limit=2&offset=1").json) == 2
    assert [one["id"] for one in daemon.get(f"/api/v1/dlq?before={letters[1]['id']}").json] == [
        one["id"] for one in letters[2:]]
    stats = daemon.get("/api/v1/dlq/stats").json
    assert (stats["pending"], stats["resolved"], stats["total"]) == (3, 1, 4)
    assert stats["oldestPendingAt"] == letters[3]["createdAt"] and stats["oldestPendingAgeSeconds"] >= 0


def test_letters_survive_a_restart(make_daemon):
    daemon = make_daemon().start()
    run = daemon.execute("restart", dag({"id": "a", "command": "echo why; false"}))
    letter = daemon.get("/api/v1/dlq").json[0]
    daemon.stop()
    daemon.start()
    assert daemon.get(f"/api/v1/dlq/{letter['id']}").json == letter
    retried = daemon.wait_run(daemon.post(f"/api/v1/dlq/{letter['id']}/retry", {}, 202).json["runId"])
    assert retried["state"] == "failed" and retried["runId"] != run["runId"]


def test_retry_with_changes(make_daemon, gate):
    """Another command and another variable, for this once; over a crash in the middle, and in a rerun of it too."""
    daemon, go = make_daemon().start(), gate()
    dag_id = daemon.create(fresh(), dag({"id": "a", "command": "echo $X$Y; exit 3", "env": {"X": "1", "Y": "2"}},
                                        {"id": "b", "command": "echo b", "dependencies": ["a"]}))["id"]
    letter, = letters_of(daemon, daemon.wait_run(daemon.trigger(dag_id))["runId"])
    changes = {"command": f"{go.command()}; echo now $X$Y; exit 4", "env": {"Y": "3"}}
    run = daemon.post(f"/api/v1/dlq/{letter['id']}/retry", {"changes": changes}, 202).json
    assert run["changes"] == {"a": changes} and run["version"] == 1
    go.wait_arrival()
    daemon.kill()
    daemon.start()
    go.open()
    run = daemon.wait_run(run["runId"])
    assert states(run) == {"a": "failed", "b": "skipped"} and run["changes"] == {"a": changes}
    assert daemon.log_of(run["runId"], "a") == "now 13\n"
    # once more, on top of what was changed before
    letter, = letters_of(daemon, run["runId"])
    assert letter["taskConfig"]["env"] == {"X": "1", "Y": "3"}
    again = daemon.post(f"/api/v1/dlq/{letter['id']}/retry", {"changes": {"command": "echo $X$Y"}}, 202).json
    again = daemon.wait_run(again["runId"])
    assert states(again) == {"a": "succeeded", "b": "succeeded"} and daemon.log_of(again["runId"], "a") == "13\n"
    # a rerun of the same version has them, the DAG has not
    whole = daemon.post(f"/api/v1/runs/{again['runId']}/rerun", {"from": "all"}, 202).json
    assert daemon.wait_run(whole["runId"])["state"] == "succeeded"
    plain = daemon.wait_run(daemon.trigger(dag_id))
    assert plain["state"] == "failed" and plain["changes"] is None and daemon.log_of(plain["runId"], "a") == "12\n"


def test_what_cannot_be_changed(shared, flaky):
    run = shared.wait_run(shared.trigger(flaky[0]))
    letter, = letters_of(shared, run["runId"])
    target = f"/api/v1/dlq/{letter['id']}/retry"
    for changes, word in (({"dependencies": []}, "cannot be changed"), ({"comand": "x"}, "Unknown field 'comand'"),
                          ({"url": "http://h"}, "http tasks"), ({"command": 3.5, "timeout": "5x"}, "must be a string"),
                          ("command", "must be an object")):
        answer = shared.post(target, {"changes": changes}, 400)
        assert word in answer.json["message"], answer
    assert shared.get(f"/api/v1/dlq/{letter['id']}").json["resolutionStatus"] == "pending"
