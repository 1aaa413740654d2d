"""Secrets reach the tasks that name them and are seen nowhere else: not in logs, however they are written, not in
errors, dead letters, events, command lines, nor anywhere in the data directory."""
import base64
import contextlib
import hashlib
import itertools
import json
import os
import subprocess
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support import PATIENCE, all_pids, dag, parent_of, pawl_path

TOKEN = "tok-5Vw9-\"quoted\"/slash"
OTHER = "correct horse battery"
numbers = itertools.count()


def fresh():
    return f"secrets-{next(numbers)}"


@pytest.fixture
def keeper(make_daemon, tmp_path):
    (tmp_path / "token").write_text(TOKEN + "\n")
    return make_daemon("--secret", f"TOKEN=file:{tmp_path}/token", "--secret", "OTHER=env:THEIRS",
                       env={"THEIRS": OTHER}).start()


@pytest.fixture
def echo():
    """Answers with what it was sent."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            said = f"{self.headers['Authorization']}\n{self.path}\n".encode() + body
            self.send_response(200 if "fail" not in self.path else 500)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            for at in range(0, len(said), 3):
                self.wfile.write(said[at:at + 3])
                self.wfile.flush()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def forms(secret):
    yield secret
    yield urllib.parse.quote(secret, safe="")
    yield json.dumps(secret)[1:-1]
    yield base64.b64encode(secret.encode()).decode().rstrip("=")[:-1]


def find_in_files(folder, leave_out=()):
    found = []
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            if path in leave_out or not os.path.isfile(path):
                continue
            with open(path, "rb") as file:
                content = file.read()
            found += [(path, form) for secret in (TOKEN, OTHER) for form in forms(secret) if form.encode() in content]
    return found


def assert_hidden(daemon, *texts):
    for text in texts:
        for secret in (TOKEN, OTHER):
            for form in forms(secret):
                assert form not in text, text
    assert not find_in_files(daemon.folder, [os.path.join(daemon.folder, "token")])


def test_logs_hide_secrets_however_they_are_written(keeper):
    """secrets-in-logs"""
    halves = "printf '%s' \"${TOKEN%?????}\"; printf '%s' \"$TOKEN\" | tail -c 5; echo"
    bytes_alone = ("import os, sys\nfor byte in os.environb[b'TOKEN'] * 3:\n    os.write(1, bytes([byte]))\n"
                   "os.write(1, b'\\n')\n")
    long = "i=0; while [ $i -lt 3000 ]; do echo \"$i $OTHER $TOKEN\"; i=$((i+1)); done"
    digest = hashlib.sha256(OTHER.encode()).hexdigest()
    coded = "printf '%s' \"user:$TOKEN\" | base64 -w0; echo; printf '%s' \"$OTHER\" | base64"
    run = keeper.execute(fresh(), dag(
        {"id": "short", "command": "echo \"<$TOKEN>\""}, {"id": "halves", "command": halves},
        {"id": "bytes", "type": "python", "script": bytes_alone}, {"id": "long", "command": long},
        {"id": "coded", "command": coded}, {"id": "stderr", "command": "echo \"$OTHER\" >&2"},
        {"id": "cut", "command": "printf 'so far: %s' \"${TOKEN%???}\""},
        {"id": "right", "command": f"[ \"$(printf %s \"$OTHER\" | sha256sum)\" = '{digest}  -' ]"},
        secrets=["TOKEN", "OTHER"]))
    assert run["state"] == "succeeded", run
    logs = {task["taskId"]: keeper.log_of(run["runId"], task["taskId"]) for task in run["tasks"]}
    assert logs["short"] == "<***>\n" and logs["halves"] == "***\n" and logs["bytes"] == "*********\n"
    assert logs["long"] == "".join(f"{i} *** ***\n" for i in range(3000))
    assert logs["stderr"] == "***\n" and logs["cut"] == "so far: ***"
    assert_hidden(keeper, *logs.values(), keeper.log(), keeper.get("/metrics").text)


def test_http_tasks_hide_secrets(keeper, echo):
    """secrets-in-http-bodies-and-errors"""
    tasks = [{"id": "echo", "type": "http", "method": "POST", "url": f"http://127.0.0.1:{echo}/",
              "headers": {"Authorization": "Bearer ${env.TOKEN}"}, "body": {"key": "${env.TOKEN}", "o": "${env.OTHER}"}},
             {"id": "failed", "type": "http", "method": "POST", "url": f"http://127.0.0.1:{echo}/fail",
              "body": "${env.OTHER}"},
             {"id": "nohost", "type": "http", "url": "http://${env.TOKEN}/"}]
    run = keeper.execute(fresh(), dag(*tasks, secrets=["TOKEN", "OTHER"]))
    logs = [keeper.log_of(run["runId"], task) for task in ("echo", "failed")]
    assert logs[0] == 'Bearer ***\n/\n{"key":"***","o":"***"}'
    letters = keeper.get("/api/v1/dlq").text
    assert_hidden(keeper, *logs, letters, json.dumps(run))
    # a piece of it would not be recognised
    assert "tok-5Vw9" not in json.dumps(run) + letters


def test_errors_letters_and_events_hide_secrets(keeper):
    """secrets-in-errors"""
    with keeper.events() as stream:
        made = keeper.create(fresh(), dag(
            {"id": "program", "command": ["${env.TOKEN}"]},
            {"id": "url", "type": "http", "url": "${env.OTHER}://x"},
            {"id": "says", "command": "echo \"$OTHER $TOKEN\"; exit 3"}, secrets=["TOKEN", "OTHER"]))
        run_id = keeper.trigger(made["id"])
        told = []
        for event in stream:
            told.append(json.dumps(event.data))
            if event.name == "run" and event.data["runId"] == run_id and event.data["state"] == "failed":
                break
    run = keeper.run(run_id)
    errors = {task["taskId"]: task["error"] for task in run["tasks"]}
    assert "cannot start '***'" in errors["program"]
    letters = keeper.get("/api/v1/dlq").json
    tails = {letter["taskName"]: letter["logTail"] for letter in letters}
    assert tails["says"] == "*** ***\n"
    assert_hidden(keeper, json.dumps(letters), *told, json.dumps(run), keeper.get("/api/v1/dlq/groups").text,
                  keeper.get(f"/api/v1/dags/{made['id']}/source").text)


def test_no_command_line_of_ours_holds_a_secret(keeper, gate):
    """secrets-in-argv"""
    door = gate()
    run_id = keeper.start_run(fresh(), dag({"id": "a", "command": door.command()}, secrets=["TOKEN", "OTHER"]))
    lines = []
    task = door.wait_arrival()
    for pid in all_pids():
        if pid == task or keeper.pid in (pid, parent_of(pid)):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as arguments:
                lines.append(arguments.read().decode())
    door.open()
    keeper.wait_run(run_id)
    assert len(lines) > 2
    assert_hidden(keeper, *lines)


def test_a_secret_that_cannot_be_hidden_is_not_given(make_daemon, tmp_path):
    """secrets-too-short-to-hide"""
    (tmp_path / "pin").write_text("123\n")
    daemon = make_daemon("--secret", f"PIN=file:{tmp_path}/pin", "--secret", f"GONE=file:{tmp_path}/gone").start()
    run = daemon.execute(fresh(), dag({"id": "a", "command": "echo $PIN"}, secrets=["PIN"]))
    assert run["tasks"][0]["errorType"] == "exec" and "hidden" in run["tasks"][0]["error"]
    run = daemon.execute(fresh(), dag({"id": "a", "command": "echo $GONE"}, secrets=["GONE"]))
    assert run["tasks"][0]["error"] == "the secret 'GONE' is not configured"


def test_pawl_run_hides_secrets(tmp_path):
    """secrets-in-pawl-run"""
    file = tmp_path / "dag.yaml"
    file.write_text(dag({"id": "a", "command": "echo \"$THEIRS\"; echo \"$FILED\"; exit 1"}, name="d",
                        secrets=["THEIRS", "FILED"]))
    (tmp_path / "token").write_text(TOKEN)
    done = subprocess.run([pawl_path(), "run", str(file), "--data", str(tmp_path / "data"), "--secret",
                           f"FILED=file:{tmp_path}/token"], env=dict(os.environ, THEIRS=OTHER), text=True,
                          capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False)
    assert done.returncode == 1
    assert "***" in done.stdout + done.stderr
    for secret in (TOKEN, OTHER):
        assert secret not in done.stdout + done.stderr
    assert not find_in_files(tmp_path / "data")
