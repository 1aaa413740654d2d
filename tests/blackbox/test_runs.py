"""A run from its trigger to its end."""
import http.server
import json
import os
import threading
import time
import uuid

import pytest
from support import TERMINAL_TASK, dag, eventually, processes_of, states, tasks_by_id


def fresh(name="run"):
    return f"{name}-{uuid.uuid4()}"


@pytest.fixture
def web():
    """A server for http tasks: answers by path, remembers what was asked."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append((self.command, self.path, dict(self.headers), body))
            first, *rest = self.path.strip("/").split("/")
            status = int(rest[-1]) if first == "once" and sum(a[1] == self.path for a in asked) > 1 else int(
                first if first.isdigit() else rest[0])
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/200")
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"hello\n")

        do_GET = do_POST = do_PUT = answer

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked = asked
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_trigger_answers_at_once(shared, gate):
    waits = gate()
    made = shared.create(fresh(), dag({"id": "a", "command": waits.command()}))
    answer = shared.post(f"/api/v1/dags/{made['id']}/runs")
    assert answer.status == 202
    run = answer.json
    assert set(run) >= {"runId", "dagId", "state", "triggeredBy", "createdAt", "startedAt", "completedAt", "version"}
    assert run["dagId"] == made["id"] and run["triggeredBy"] == "api" and run["version"] == 1
    assert run["state"] in ("pending", "running") and run["completedAt"] is None
    waits.wait_arrival()
    live = shared.run(run["runId"])
    assert live["state"] == "running" and live["counts"]["running"] == 1
    assert live["tasks"][0]["state"] == "running" and live["tasks"][0]["workerId"] in [
        worker["id"] for worker in shared.workers()]
    waits.open()
    done = shared.wait_run(run["runId"])
    assert done["state"] == "succeeded" and done["error"] is None
    assert done["createdAt"] <= done["startedAt"] <= done["completedAt"]


def test_shell_python_and_http(shared, web):
    run = shared.execute(fresh(), dag(
        {"id": "sh", "command": "echo from shell; echo $PAWL_TASK_ID-$PAWL_ATTEMPT"},
        {"id": "argv", "command": ["printf", "%s|", "a b", "$HOME", "*"]},
        {"id": "py", "type": "python", "script": "import sys\nprint('from python', sys.argv[1:])", "args": ["x y"],
         "dependencies": ["sh"]},
        {"id": "web", "type": "http", "method": "POST", "url": web.url + "/201", "body": {"a": [1]},
         "headers": {"X-Mine": "yes"}, "dependencies": ["py"]}))
    assert states(run) == dict.fromkeys(["sh", "argv", "py", "web"], "succeeded"), run
    assert shared.log_of(run["runId"], "sh") == "from shell\nsh-1\n"
    assert shared.log_of(run["runId"], "argv") == "a b|$HOME|*|"
    assert shared.log_of(run["runId"], "py") == "from python ['x y']\n"
    assert shared.log_of(run["runId"], "web") == "hello\n"
    method, path, headers, body = web.asked[0]
    assert (method, path, json.loads(body)) == ("POST", "/201", {"a": [1]})
    assert headers["X-Mine"] == "yes" and headers["Content-Type"] == "application/json"
    assert headers["Idempotency-Key"] == f"{run['runId']}/web"
    assert all(task["cpuSeconds"] is not None and task["maxRssBytes"] for task in run["tasks"]
               if task["taskId"] in ("sh", "py"))


def test_http_failures(shared, web):
    retry = {"maxAttempts": 3, "initialDelay": "1ms"}
    run = shared.execute(fresh(), dag(
        {"id": "gone", "type": "http", "url": web.url + "/404", "retry": retry},
        {"id": "busy", "type": "http", "url": web.url + "/once/503/200", "retry": retry},
        {"id": "moved", "type": "http", "url": web.url + "/302"},
        {"id": "follows", "type": "http", "url": web.url + "/302", "method": "GET", "follow": 1},
        {"id": "nobody", "type": "http", "url": "http://127.0.0.1:1/"},
        {"id": "file", "type": "http", "url": "${env.U}", "env": {"U": "file:///etc/passwd"}}))
    tasks = tasks_by_id(run)
    assert (tasks["gone"]["state"], tasks["gone"]["attempt"], tasks["gone"]["errorType"]) == ("failed", 1, "http")
    assert "404" in tasks["gone"]["error"]
    assert (tasks["busy"]["state"], tasks["busy"]["attempt"]) == ("succeeded", 2)
    assert tasks["moved"]["state"] == "failed" and tasks["follows"]["state"] == "succeeded"
    assert tasks["nobody"]["state"] == "failed" and tasks["nobody"]["errorType"] == "http"
    assert tasks["file"]["state"] == "failed"
    assert "root:" not in shared.log_of(run["runId"], "file")


def test_failures_say_why(shared):
    run = shared.execute(fresh(), dag(
        {"id": "exit", "command": "exit 7"},
        {"id": "signal", "command": "kill -SEGV $$"},
        {"id": "missing", "command": ["/no/such/program"]},
        {"id": "workdir", "command": "true", "workdir": "no/such/folder"},
        {"id": "time", "command": "read never < /dev/zero; exec cat", "timeout": "100ms"},
        {"id": "behind", "command": "true", "dependencies": ["exit"]}))
    tasks = tasks_by_id(run)
    assert run["state"] == "failed" and run["error"]
    assert (tasks["exit"]["errorType"], tasks["exit"]["exitCode"]) == ("exit", 7) and "7" in tasks["exit"]["error"]
    assert (tasks["signal"]["errorType"], tasks["signal"]["signal"]) == ("signal", 11)
    assert tasks["missing"]["errorType"] == "exec" and "No such file" in tasks["missing"]["error"]
    assert tasks["workdir"]["errorType"] == "exec" and "No such file" in tasks["workdir"]["error"]
    assert tasks["behind"]["state"] == "skipped"
    assert run["counts"]["failed"] == 5 and run["counts"]["skipped"] == 1


def test_timeout(shared, gate):
    waits = gate()
    run_id = shared.start_run(fresh(), dag({"id": "a", "command": waits.command(), "timeout": "200ms"}))
    waits.wait_arrival()
    run = shared.wait_run(run_id)
    task = run["tasks"][0]
    assert (task["state"], task["errorType"]) == ("failed", "timeout") and "200ms" in task["error"]


def test_dependencies_are_kept(shared):
    """A diamond with a long side; each task writes what had been written before it."""
    mark = "cat $D/* > /dev/null 2>&1; ls $D; touch $D/$PAWL_TASK_ID"
    folder = os.path.join(shared.folder, fresh("marks"))
    os.mkdir(folder)
    edges = {"a": [], "b": ["a"], "c": ["a"], "d": ["c"], "e": ["b", "d"], "f": ["e", "a"]}
    run = shared.execute(fresh(), dag(*[{"id": k, "command": mark, "dependencies": v} for k, v in edges.items()],
                                      env={"D": folder}))
    assert run["state"] == "succeeded"
    tasks = tasks_by_id(run)
    for task, needs in edges.items():
        seen = shared.log_of(run["runId"], task).split()
        assert set(needs) <= set(seen)
        assert all(tasks[need]["completedAt"] <= tasks[task]["startedAt"] for need in needs)


def test_skips_follow_failures_and_other_branches_go_on(shared):
    run = shared.execute(fresh(), dag(
        {"id": "bad", "command": "exit 1"}, {"id": "good", "command": "true"},
        {"id": "x", "command": "true", "dependencies": ["bad"]},
        {"id": "y", "command": "true", "dependencies": ["x"]},
        {"id": "both", "command": "true", "dependencies": ["good", "bad"]},
        {"id": "fine", "command": "true", "dependencies": ["good"]}))
    assert run["state"] == "failed"
    assert states(run) == {"bad": "failed", "good": "succeeded", "x": "skipped", "y": "skipped", "both": "skipped",
                           "fine": "succeeded"}
    assert tasks_by_id(run)["x"]["attempt"] == 0 and tasks_by_id(run)["x"]["startedAt"] is None


def test_retries_with_backoff(shared):
    counter = os.path.join(shared.folder, fresh("count"))
    run = shared.execute(fresh(), dag({
        "id": "a", "command": "echo x >> $C; echo attempt $PAWL_ATTEMPT; [ $(wc -l < $C) -ge 3 ]", "env": {"C": counter},
        "retry": {"maxAttempts": 5, "initialDelay": "50ms", "backoffMultiplier": 2.0, "jitter": 0}}))
    task = run["tasks"][0]
    assert (task["state"], task["attempt"], task["error"]) == ("succeeded", 3, None)
    assert [shared.log_of(run["runId"], "a", attempt=n) for n in (1, 2, 3)] == [
        f"attempt {n}\n" for n in (1, 2, 3)]


def test_a_task_that_waits_for_its_retry(shared):
    run_id = shared.start_run(fresh(), dag({
        "id": "a", "command": "exit 4", "retry": {"maxAttempts": 2, "initialDelay": "1h", "maxDelay": "1h"}}))
    task = shared.wait_task(run_id, "a", lambda t: t["nextAttemptAt"])
    assert (task["state"], task["attempt"], task["exitCode"]) == ("pending", 1, 4)
    why = shared.get(f"/api/v1/runs/{run_id}/tasks/a/why").json
    assert why["waitsFor"] == "retry" and why["until"] == task["nextAttemptAt"]
    shared.post(f"/api/v1/runs/{run_id}/cancel", None, 202)
    run = shared.wait_run(run_id)
    assert run["state"] == "canceled" and states(run) == {"a": "canceled"}


def test_retries_are_used_up(shared):
    run = shared.execute(fresh(), dag({"id": "a", "command": "exit $PAWL_ATTEMPT",
                                       "retry": {"maxAttempts": 3, "initialDelay": "1ms", "backoff": "fixed"}}))
    assert (run["tasks"][0]["attempt"], run["tasks"][0]["exitCode"]) == (3, 3)


def test_a_runs_timeout(shared, gate):
    waits = gate()
    run_id = shared.start_run(fresh(), dag({"id": "a", "command": waits.command()},
                                           {"id": "b", "command": "true", "dependencies": ["a"]}, timeout="300ms"))
    waits.wait_arrival()
    run = shared.wait_run(run_id)
    assert run["state"] == "failed" and "300ms" in run["error"], run
    assert set(states(run).values()) <= {"failed", "canceled", "skipped"}


def test_cancel(shared, gate):
    waits = gate()
    run_id = shared.start_run(fresh(), dag({"id": "a", "command": waits.command()},
                                           {"id": "b", "command": "true", "dependencies": ["a"]}))
    pid = waits.wait_arrival()
    first = shared.post(f"/api/v1/runs/{run_id}/cancel", None, 202)
    shared.post(f"/api/v1/runs/{run_id}/cancel")
    run = shared.wait_run(run_id)
    assert first.json["runId"] == run_id
    assert run["state"] == "canceled" and run["cancelRequestedAt"]
    assert states(run) == {"a": "canceled", "b": "canceled"}
    assert not os.path.exists(f"/proc/{pid}")
    late = shared.post(f"/api/v1/runs/{run_id}/cancel")
    assert late.status == 409 and late.code == "RUN_FINISHED"
    assert shared.post(f"/api/v1/runs/{uuid.uuid4()}/cancel").status == 404


def test_cancel_ends_the_whole_tree_after_its_grace(make_daemon, gate):
    """A task that ignores TERM, with a child in a session of its own."""
    daemon = make_daemon("--grace", "100ms").start()
    waits, child = gate("parent"), gate("child")
    run_id = daemon.start_run("stubborn", dag({
        "id": "a", "command": f"trap '' TERM; setsid sh -c \"trap '' TERM; {child.command()}\" & {waits.command()}"}))
    pids = [waits.wait_arrival(), child.wait_arrival()]
    daemon.post(f"/api/v1/runs/{run_id}/cancel", None, 202)
    assert daemon.wait_run(run_id)["state"] == "canceled"
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


def test_what_a_task_leaves_behind_is_ended(shared, gate):
    child = gate("child")
    run = shared.execute(fresh(), dag({"id": "a", "command": f"setsid sh -c '{child.command()}' & read x < {gate('b').go} & "
                                                            f"echo done"}))
    assert run["state"] == "succeeded"
    assert [pid for pid in processes_of(child.here) if pid != os.getpid()] == []


def test_environment_is_clean(make_daemon):
    daemon = make_daemon(env={"SECRET_OF_THE_DAEMON": "x", "LC_ALL": "C.UTF-8"}).start()
    run = daemon.execute("env", dag({"id": "a", "command": "env | sort; echo; pwd; cat <&0", "env": {"B": "task", "C": "${env.A}-c"}},
                                    env={"A": "dag", "B": "dag"}))
    log = daemon.log_of(run["runId"], "a")
    assert run["state"] == "succeeded", run
    env = dict(line.split("=", 1) for line in log.split("\n\n")[0].splitlines())
    assert env["A"] == "dag" and env["B"] == "task" and env["C"] == "dag-c"
    assert env["PAWL_RUN_ID"] == run["runId"] and env["PAWL_TASK_ID"] == "a" and env["PAWL_ATTEMPT"] == "1"
    assert env["PAWL_DAG_ID"] == run["dagId"] and int(env["PAWL_FENCE"]) > 0
    assert "SECRET_OF_THE_DAEMON" not in env and env["LC_ALL"] == "C.UTF-8"
    allowed = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR", "PWD", "_", "SHLVL", "OLDPWD",
               "A", "B", "C"}
    assert {name for name in env if not name.startswith(("PAWL_", "LC_"))} <= allowed, env
    assert log.rstrip().endswith(os.path.realpath(os.path.join(daemon.data, "work")))


def test_secrets(make_daemon, tmp_path):
    (tmp_path / "token").write_text("s3cret-file\n")
    daemon = make_daemon("--secret", f"TOKEN=file:{tmp_path}/token", "--secret", "OTHER=env:THEIRS",
                         env={"THEIRS": "s3cret-env"}).start()
    run = daemon.execute("secrets", dag({"id": "a", "command": "[ $TOKEN = s3cret-file ] && [ $OTHER = s3cret-env ]"},
                                        secrets=["TOKEN", "OTHER"]))
    assert run["state"] == "succeeded", run
    assert "s3cret" not in daemon.log() and "s3cret" not in daemon.get("/metrics").text


def test_user_text_reaches_no_shell(shared):
    evil = "$(touch PWNED); `touch PWNED`; ' \" \\ \n * ~"
    run = shared.execute(fresh(), dag({"id": "a", "command": ["printf", "%s", evil]},
                                      {"id": "b", "command": "printf %s \"$EVIL\"", "env": {"EVIL": evil}},
                                      {"id": "; touch PWNED", "command": "printf %s \"$PAWL_TASK_ID\""}))
    assert run["state"] == "succeeded"
    assert shared.log_of(run["runId"], "a") == evil == shared.log_of(run["runId"], "b")
    assert shared.log_of(run["runId"], "; touch PWNED") == "; touch PWNED"
    assert not os.path.exists(os.path.join(shared.data, "work", "PWNED"))


def test_status_can_be_read_in_parts(shared):
    tasks = [{"id": f"t{i:03}", "command": "true" if i % 2 else "false"} for i in range(50)]
    run = shared.execute(fresh(), dag(*tasks))
    target = f"/api/v1/runs/{run['runId']}"

    def ids(query):
        return [task["taskId"] for task in shared.get(f"{target}?{query}").json["tasks"]]

    assert ids("taskLimit=3") == ["t000", "t001", "t002"]
    assert ids("taskLimit=3&taskAfter=t002") == ["t003", "t004", "t005"]
    assert ids("taskState=failed") == [f"t{i:03}" for i in range(0, 50, 2)]
    assert ids("taskState=failed&taskAfter=t010&taskLimit=2") == ["t012", "t014"]
    assert ids("taskLimit=0") == [] and shared.get(f"{target}?taskLimit=0").json["counts"]["failed"] == 25
    assert len(run["tasks"]) == 50


def test_lists_of_runs(make_daemon, gate):
    daemon, waits = make_daemon().start(), gate()
    good = daemon.create("good", dag({"id": "a", "command": "true"}))["id"]
    bad = daemon.create("bad", dag({"id": "a", "command": "false"}))["id"]
    slow = daemon.create("slow", dag({"id": "a", "command": waits.command()}))["id"]
    ids = [daemon.trigger(dag_id) for dag_id in (good, bad, good)]
    for run_id in ids:
        daemon.wait_run(run_id)
    ids.append(daemon.trigger(slow))
    waits.wait_arrival()
    newest = ids[::-1]

    def listed(target):
        return [run["runId"] for run in daemon.get(target).json]

    assert listed("/api/v1/runs") == newest
    assert listed("/api/v1/runs?limit=2&offset=1") == newest[1:3]
    assert listed(f"/api/v1/runs?before={newest[1]}") == newest[2:]
    assert listed("/api/v1/runs?state=failed") == [ids[1]]
    assert listed("/api/v1/runs?state=running") == [ids[3]]
    assert listed(f"/api/v1/runs?dagId={good}") == [ids[2], ids[0]]
    assert listed(f"/api/v1/dags/{good}/runs?limit=1") == [ids[2]]
    assert listed(f"/api/v1/dags/{good}/runs?state=failed") == []
    assert daemon.get("/api/v1/runs?state=done", 400).code == "BAD_REQUEST"
    assert daemon.get(f"/api/v1/dags/{uuid.uuid4()}/runs", 404).code == "DAG_NOT_FOUND"
    assert daemon.get("/api/v1/cluster").json["activeRuns"] == 1
    waits.open()
    daemon.wait_run(ids[3])


def test_why(make_daemon, gate):
    daemon, waits = make_daemon("--workers", "1", "--slots", "1").start(), gate()
    run_id = daemon.start_run("why", dag({"id": "runs", "command": waits.command() + "; exit 1"},
                                         {"id": "queued", "command": "true"},
                                         {"id": "waits", "command": "true", "dependencies": ["runs", "queued"]}))
    waits.wait_arrival()

    def why(task):
        return daemon.get(f"/api/v1/runs/{run_id}/tasks/{task}/why").json

    assert (why("runs")["waitsFor"], why("runs")["state"]) == ("running", "running")
    assert why("runs")["workerId"] == daemon.workers()[0]["id"]
    assert why("queued")["waitsFor"] == "slot"
    waiting = why("waits")
    assert waiting["waitsFor"] == "dependencies" and waiting["dependencyCount"] == 2
    assert {d["taskId"] for d in waiting["dependencies"]} == {"runs", "queued"}
    waits.open()
    daemon.wait_run(run_id)
    ended = why("waits")
    assert ended["state"] == "skipped" and [d["taskId"] for d in ended["dependencies"]] == ["runs"]
    assert daemon.get(f"/api/v1/runs/{run_id}/tasks/none/why", 404).code == "TASK_NOT_FOUND"


def test_workers_drain_and_resume(make_daemon, gate):
    daemon = make_daemon("--workers", "2", "--slots", "1").start()
    waits = gate()
    run_id = daemon.start_run("drained", dag({"id": "a", "command": waits.command()}))
    waits.wait_arrival()
    busy = daemon.task(run_id, "a")["workerId"]
    idle = next(worker["id"] for worker in daemon.workers() if worker["id"] != busy)
    for worker in (busy, idle):
        daemon.post(f"/api/v1/workers/{worker}/drain", None, 204)
    eventually(lambda: {worker["status"] for worker in daemon.workers()} == {"draining"}, "both drain")
    waits.open()
    assert daemon.wait_run(run_id)["state"] == "succeeded"
    held = daemon.start_run("held", dag({"id": "a", "command": "true"}))
    assert daemon.wait_task(held, "a", lambda t: t["state"] == "queued")["attempt"] == 0
    daemon.post(f"/api/v1/workers/{idle}/resume", None, 204)
    assert daemon.wait_run(held)["tasks"][0]["workerId"] == idle
    assert daemon.post(f"/api/v1/workers/{uuid.uuid4()}/drain").code == "WORKER_NOT_FOUND"


def test_workers_are_listed(make_daemon):
    daemon = make_daemon("--workers", "3", "--slots", "5").start()
    workers = eventually(lambda: (lambda found: found if len(found) == 3 else None)(daemon.workers()), "three workers")
    assert {worker["slots"] for worker in workers} == {5}
    for worker in workers:
        assert worker["status"] == "idle" and worker["runningTasks"] == worker["queueDepth"] == 0
    cluster = daemon.get("/api/v1/cluster").json
    assert cluster["workers"] == 3 and cluster["leaderId"] == cluster["nodes"][0]["id"] == workers[0]["node"]


def test_parallel_tasks_really_are(make_daemon, gate):
    """As many as there are slots, and no more."""
    daemon, waits = make_daemon("--workers", "2", "--slots", "3").start(), gate()
    run_id = daemon.start_run("wide", dag(*[{"id": f"t{i}", "command": waits.command()} for i in range(10)]))
    for _ in range(6):
        waits.wait_arrival()
    status = daemon.run(run_id)
    assert status["counts"]["running"] == 6 and status["counts"]["queued"] == 4
    for i in range(10):
        waits.open()
        if i < 4:
            waits.wait_arrival()
    assert daemon.wait_run(run_id)["counts"]["succeeded"] == 10


def test_terminal_states_never_change(shared):
    """Every event of many short runs: states only move forward, no task is told of twice in a terminal state."""
    seen = {}
    run_ids = []
    with shared.events() as stream:
        made = shared.create(fresh(), dag({"id": "a", "command": "true"},
                                          {"id": "b", "command": "false", "dependencies": ["a"]},
                                          {"id": "c", "command": "true", "dependencies": ["b"]}))["id"]
        run_ids = [shared.trigger(made) for _ in range(20)]
        left = set(run_ids)
        for event in stream:
            if event.name == "reset":
                pytest.fail("a reset without a reason")
            key = (event.data.get("runId"), event.data.get("taskId"))
            if key[0] not in run_ids:
                continue
            old = seen.get(key)
            assert old not in TERMINAL_TASK, f"{key}: {old} -> {event.data['state']}"
            seen[key] = event.data["state"]
            if event.name == "run" and event.data["state"] in TERMINAL_TASK:
                left.discard(event.data["runId"])
                if not left:
                    break
    for run_id in run_ids:
        assert (seen[run_id, "a"], seen[run_id, "b"], seen[run_id, "c"], seen[run_id, None]) == (
            "succeeded", "failed", "skipped", "failed")


def test_times_are_in_order(shared):
    before = time.time()
    run = shared.execute(fresh(), dag({"id": "a", "command": "true"}, {"id": "b", "command": "true",
                                                                       "dependencies": ["a"]}))
    from datetime import datetime
    moment = {name: datetime.fromisoformat(run[name].replace("Z", "+00:00")).timestamp()
              for name in ("createdAt", "startedAt", "completedAt")}
    assert before - 1 <= moment["createdAt"] <= moment["startedAt"] <= moment["completedAt"] <= time.time() + 1
    a, b = run["tasks"]
    assert run["createdAt"] <= a["startedAt"] <= a["completedAt"] <= b["startedAt"] <= b["completedAt"]
    assert b["completedAt"] <= run["completedAt"]
