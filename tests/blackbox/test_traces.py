"""A run is part of the trace that its trigger was part of, and so are its tasks, each as a span of its own; over a restart
too, and in the log."""
import json
import os
import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support import PATIENCE, dag, pawl_path

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
SAY = "echo \"$TRACEPARENT|$TRACESTATE\""


def spans(daemon, run_id, *tasks):
    said = [re.fullmatch(rf"00-{TRACE}-([0-9a-f]{{16}})-01\|(.*)\n", daemon.log_of(run_id, task)) for task in tasks]
    assert all(said), [daemon.log_of(run_id, task) for task in tasks]
    return [one[1] for one in said], [one[2] for one in said]


def test_tasks_are_spans_of_the_trace(shared):
    made = shared.create("traced", dag(
        {"id": "a", "command": SAY}, {"id": "b", "command": SAY},
        {"id": "own", "command": SAY, "env": {"TRACEPARENT": "mine"}},
        {"id": "p", "type": "python", "script": "import os\nprint(os.environ['TRACEPARENT'] + '|' + os.environ['TRACESTATE'])\n"}))
    run_id = shared.trigger(made["id"], traceparent=PARENT, tracestate="vendor=x,other@y=z")
    assert shared.wait_run(run_id)["state"] == "succeeded"
    ids, states = spans(shared, run_id, "a", "b", "p")
    assert len({*ids, "00f067aa0ba902b7"}) == 4 and set(states) == {"vendor=x,other@y=z"}
    assert shared.log_of(run_id, "own") == "mine|\n"
    # the log has them all together
    lines = [json.loads(line) for line in shared.log().splitlines()]
    asked, = [line for line in lines if line.get("message") == "request" and line.get("runId") == run_id]
    assert asked["traceId"] == TRACE and asked["status"] == "202"
    told = [line for line in lines if line.get("message") == "attempt" and line["runId"] == run_id and line["taskId"] == "a"]
    assert [line["outcome"] for line in told] == ["started", "succeeded"]
    for line in told:
        assert line["requestId"] == asked["requestId"] and line["traceId"] == TRACE and line["attempt"] == "1"
        assert line["spanId"] == ids[0]


def test_http_tasks_send_it(shared):
    heard = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            heard.append((self.path, self.headers.get_all("traceparent"), self.headers.get("tracestate")))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    made = shared.create("traced-http", dag({"id": "a", "type": "http", "url": url + "/a"},
                                            {"id": "b", "type": "http", "url": url + "/b", "headers": {"Traceparent": "own"}}))
    run_id = shared.trigger(made["id"], traceparent=PARENT, tracestate="a=1")
    without = shared.trigger(made["id"])
    assert {shared.wait_run(run)["state"] for run in (run_id, without)} == {"succeeded"}
    server.shutdown()
    thread.join()
    server.server_close()
    sent = [one for one in heard if one[0] == "/a" and one[1]]
    assert len(sent) == 1 and re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-01", sent[0][1][0]) and sent[0][2] == "a=1"
    assert {tuple(one[1]) for one in heard if one[0] == "/b"} == {("own",)}
    assert ("/a", None, None) in heard


@pytest.mark.parametrize("parent", ["", "00", PARENT.upper(), PARENT + "-x", "ff" + PARENT[2:], f"00-{'0' * 32}-00f067aa0ba902b7-01",
                                    PARENT.replace("-01", "-0g"), "00-" + "a" * 5000])
def test_what_is_no_trace_is_ignored(shared, parent):
    made = shared.create(f"untraced-{abs(hash(parent))}", dag({"id": "a", "command": SAY}))
    run_id = shared.trigger(made["id"], traceparent=parent, tracestate="a=1")
    shared.wait_run(run_id)
    assert shared.log_of(run_id, "a") == "|\n"


def test_too_long_a_state_is_dropped(shared):
    made = shared.create("long-state", dag({"id": "a", "command": SAY}))
    run_id = shared.trigger(made["id"], traceparent=PARENT, tracestate="a=" + "x" * 511)
    shared.wait_run(run_id)
    assert spans(shared, run_id, "a")[1] == [""]


def test_reruns_and_dead_letters_have_the_trace_of_who_asked(shared):
    made = shared.create("rerun", dag({"id": "a", "command": SAY + "; exit 1"}))
    first = shared.trigger(made["id"])
    shared.wait_run(first)
    assert shared.log_of(first, "a") == "|\n"
    again = shared.post(f"/api/v1/runs/{first}/rerun", {"from": "all"}, 202, {"traceparent": PARENT}).json["runId"]
    shared.wait_run(again)
    letter = next(one["id"] for one in shared.get("/api/v1/dlq").json if one["runId"] == again)
    third = shared.post(f"/api/v1/dlq/{letter}/retry", {}, 202, {"traceparent": PARENT}).json["runId"]
    shared.wait_run(third)
    assert spans(shared, again, "a")[0] != spans(shared, third, "a")[0]


def test_a_trace_outlives_the_daemon(make_daemon, gate):
    daemon = make_daemon().start()
    door = gate()
    made = daemon.create("d", dag({"id": "a", "command": door.command()}, {"id": "b", "command": SAY, "dependencies": ["a"]}))
    run_id = daemon.trigger(made["id"], traceparent=PARENT, tracestate="k=v")
    door.wait_arrival()
    daemon.kill()
    daemon.start()
    door.open()
    daemon.wait_run(run_id)
    assert spans(daemon, run_id, "b")[1] == ["k=v"]


def test_commands_pass_it_on(shared):
    shared.create("from-a-command", dag({"id": "a", "command": SAY}))
    done = subprocess.run([pawl_path(), "trigger", "from-a-command", "--wait", "-o", "json", "--data", shared.data],
                          env={**os.environ, "TRACEPARENT": PARENT}, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=PATIENCE, check=True)
    assert spans(shared, json.loads(done.stdout)["runId"], "a")[1] == [""]
