"""DATA/audit.log: each thing that was done or tried, by whom, with what result; and the log's priorities for the journal."""
import json
import os
import re
import stat
import subprocess

from support import PATIENCE, Client, dag, eventually, pawl_path


def entries(daemon):
    with open(os.path.join(daemon.data, "audit.log"), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def token(daemon, role, name):
    return subprocess.run([pawl_path(), "token", "create", "--role", role, "--name", name, "--data", daemon.data],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE, check=True).stdout.strip()


def test_who_did_what(make_daemon):
    daemon = make_daemon("--require-token")
    daemon.spawn()
    daemon.port = int(daemon.read_line().rsplit(":", 1)[1])
    admin, viewer = token(daemon, "admin", "alice"), token(daemon, "viewer", "bob")

    def ask(method, target, text, body=None, **headers):
        if text:
            headers["Authorization"] = f"Bearer {text}"
        with Client(daemon.port) as client:
            return client.send(method, target, body, headers)

    made = ask("POST", "/api/v1/dags", admin, {"name": "d", "yaml": dag({"id": "a", "command": "true"})}).json["id"]
    run = ask("POST", f"/api/v1/dags/{made}/runs", admin, **{"X-Request-Id": "req-7"}).json["runId"]
    ask("POST", f"/api/v1/dags/{made}/runs", viewer)
    ask("DELETE", f"/api/v1/dags/{made}", None)
    ask("GET", "/api/v1/runs", "pawl_" + "0" * 64)
    ask("GET", "/api/v1/runs", viewer)
    ask("PUT", f"/api/v1/dags/{made}", admin, {"yaml": "nonsense"})
    subprocess.run([pawl_path(), "token", "revoke", "bob", "--data", daemon.data], check=True, capture_output=True,
                   stdin=subprocess.DEVNULL, timeout=PATIENCE)
    daemon.stop()
    got = entries(daemon)
    told = [(one["action"], one.get("principal"), one.get("role"), one["outcome"], one.get("status")) for one in got]
    assert sorted(told, key=str) == sorted([
        ("daemon.start", None, None, "done", None),
        ("token.create", "owner", "admin", "done", None), ("token.create", "owner", "admin", "done", None),
        ("createDag", "alice", "admin", "done", 201), ("triggerDag", "alice", "admin", "done", 202),
        ("triggerDag", "bob", "viewer", "refused", 403), ("deleteDag", "anonymous", None, "refused", 401),
        ("listRuns", "anonymous", None, "refused", 401), ("updateDag", "alice", "admin", "failed", 400),
        ("token.revoke", "owner", "admin", "done", None), ("daemon.stop", None, None, "done", None)], key=str)
    trigger = next(one for one in got if one["action"] == "triggerDag" and one["outcome"] == "done")
    assert trigger["runId"] == run and trigger["requestId"] == "req-7" and trigger["peer"] == "127.0.0.1"
    assert trigger["method"] == "POST" and trigger["target"] == f"/api/v1/dags/{made}/runs"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", trigger["time"])
    path = os.path.join(daemon.data, "audit.log")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    with open(path, encoding="utf-8") as file:
        text = file.read()
    assert admin not in text and viewer not in text


def test_a_full_disk_or_lost_file_stops_nothing(make_daemon):
    """The trail is beside the work: where it cannot be written the work goes on and the log says so."""
    daemon = make_daemon().start()
    made = daemon.create("d", dag({"id": "a", "command": "true"}))
    path = os.path.join(daemon.data, "audit.log")
    eventually(lambda: len(entries(daemon)) >= 2, "the entry")
    os.unlink(path)
    run = daemon.trigger(made["id"])
    assert daemon.wait_run(run)["state"] == "succeeded"


def test_the_journal_gets_priorities(make_daemon):
    """When stderr is the stream that JOURNAL_STREAM names, each line begins with <N>; else none does."""
    daemon = make_daemon()
    for named in (True, False):
        read, write = os.pipe()
        status = os.fstat(write)
        stream = f"{status.st_dev}:{status.st_ino}" if named else "1:2"
        process = subprocess.Popen([pawl_path(), "serve", "--data", daemon.data, "--listen", "127.0.0.1:0"], stderr=write,
                                   stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env={**os.environ, "JOURNAL_STREAM": stream})
        os.close(write)
        assert process.stdout.readline().startswith(b"listening on ")
        process.terminate()
        with os.fdopen(read, encoding="utf-8") as log:
            lines = log.read().splitlines()
        assert process.wait(PATIENCE) == 0
        process.stdout.close()
        assert lines
        for line in lines:
            level = json.loads(line[3:] if named else line)["level"]
            assert not named or line[:3] == {"debug": "<7>", "info": "<6>", "warn": "<4>", "error": "<3>"}[level], line
