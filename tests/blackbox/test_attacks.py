"""What was done to tools of this kind, done to this one: a test for each class of attack. docs/security.md lists them by
the names of the tests, and the last test compares the list."""
import base64
import contextlib
import gzip
import hashlib
import itertools
import json
import os
import re
import socket
import stat
import subprocess
import sys
import urllib.parse

import pytest
from support import PATIENCE, Client, dag, eventually, pawl_path, raw_exchange, source_root

numbers = itertools.count()
SOME_ID = "01936000-0000-7000-8000-000000000000"
CLOSE = b"Host: localhost\r\nConnection: close\r\n"


def fresh():
    return f"attack-{next(numbers)}"


def ask(daemon, method, target, body=None, **headers):
    with Client(daemon.port) as client:
        return client.send(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})


def raw(daemon, *pieces):
    return raw_exchange(daemon.port, list(pieces))


def validate(daemon, yaml):
    return ask(daemon, "POST", "/api/v1/dags/validate", {"yaml": yaml})


def command(daemon, *arguments, env=None):
    """A command beside the daemon; its output, both streams."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PAWL_")}
    done = subprocess.run([pawl_path(), "--data", daemon.data, *arguments], env={**clean, **(env or {})},
                          capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False)
    assert b"Sanitizer" not in done.stderr
    return done


@pytest.fixture
def guarded(make_daemon):
    one = make_daemon("--require-token")
    one.spawn()
    one.port = int(one.read_line().rsplit(":", 1)[1])
    return one


def token(daemon, role, *options):
    return command(daemon, "token", "create", "--role", role, *options).stdout.decode().strip()


# ---- paths and files ----

def test_attack_path_traversal_in_ids(shared):
    pieces = ("..%2f..%2f..%2fetc%2fpasswd", "..", "%2e%2e", "..%5c..", "%252e%252e%252f", "....//", "..;/", "/etc/passwd",
              "%c0%ae%c0%ae%c0%af", "..%00", "%ef%bc%8e%ef%bc%8e")
    for piece in pieces:
        for target in (f"/api/v1/runs/{piece}/tasks/a/log", f"/api/v1/task-instances/{piece}/log", f"/ui/{piece}",
                       f"/docs/{piece}", f"/api/v1/dags/{piece}/source", f"/api/v1/runs/{SOME_ID}/tasks/{piece}/log"):
            answer = ask(shared, "GET", target)
            assert answer.status in (400, 404), f"{target}: {answer}"
            assert "root:" not in answer.text


def test_attack_path_traversal_by_task_id(shared):
    ids = ["../../../escape", "..\\escape", "/etc/escape", "a/../../b", "%2e%2e%2fescape", "~root", "-rf"]
    run = shared.execute(fresh(), dag(*({"id": one, "command": "printf '%s\\n' \"$PAWL_TASK_ID\""} for one in ids)))
    assert run["state"] == "succeeded"
    for one in ids:
        assert shared.log_of(run["runId"], one) == one + "\n"
    names = [name for _, folders, files in os.walk(shared.folder) for name in folders + files]
    assert not [name for name in names if "escape" in name or "root" in name]


def test_attack_double_decoding(shared):
    assert ask(shared, "GET", "/%6cive").status in (200, 404)
    for target in ("/api/v1/dags/%2e%2e/runs", "/api/v1%2fdags", "/api/v1/dags%3fname=x", "/api/v1/%2564ags",
                   "//api/v1/dags", "/api/v1/../v1/dags", "/api/v1/./dags", "/api/v1/dags/"):
        assert ask(shared, "GET", target).status in (400, 404), target


def test_attack_log_replaced_by_a_symlink(shared):
    run = shared.execute(fresh(), dag({"id": "a", "command": "head -c 3000 /dev/zero | tr '\\0' x"}))
    victim = os.path.join(shared.folder, "victim")
    with open(victim, "w", encoding="utf-8") as file:
        file.write("not for clients")
    logs = [os.path.join(root, name) for root, _, names in os.walk(os.path.join(shared.data, "logs")) for name in names]
    log, = [path for path in logs if run["runId"].replace("-", "") in path.replace("-", "")]
    os.unlink(log)
    os.symlink(victim, log)
    answer = ask(shared, "GET", f"/api/v1/runs/{run['runId']}/tasks/a/log")
    assert "not for clients" not in answer.text


def test_attack_log_written_through_a_symlink(make_daemon, gate):
    """A task puts a link where the log of a later attempt will be."""
    daemon = make_daemon().start()
    victim = os.path.join(daemon.folder, "victim")
    with open(victim, "w", encoding="utf-8") as file:
        file.write("untouched")
    door = gate()
    noise = "head -c 5000 /dev/zero | tr '\\0' y"
    run_id = daemon.start_run(fresh(), dag({"id": "a", "command": f"head -c 5000 /dev/zero | tr '\\0' z; {door.command()}"},
                                           {"id": "b", "command": noise, "dependencies": ["a"]}))
    door.wait_arrival()
    logs = os.path.join(daemon.data, "logs")
    first = eventually(lambda: [os.path.join(root, name) for root, _, names in os.walk(logs) for name in names], "a log")[0]
    name = os.path.basename(first)
    second = os.path.join(os.path.dirname(first), re.sub("0", "1", name, count=1))
    os.symlink(victim, second)
    door.open()
    daemon.wait_run(run_id)
    with open(victim, encoding="utf-8") as file:
        assert file.read() == "untouched"


def test_attack_data_directory_read_by_others(shared):
    assert stat.S_IMODE(os.stat(shared.data).st_mode) == 0o700
    for root, _, names in os.walk(shared.data):
        for name in names:
            mode = os.lstat(os.path.join(root, name)).st_mode
            if stat.S_ISLNK(mode):
                continue
            of_a_task = os.path.relpath(root, shared.data).startswith("work/")
            assert not mode & (stat.S_IRWXG | stat.S_IRWXO) or stat.S_ISSOCK(mode) or of_a_task, (root, name)


def test_attack_listing_and_hidden_files(shared):
    for target in ("/.git/config", "/.env", "/ui/", "/ui/.", "/ui/..", "/server-status", "/debug/pprof", "/actuator/env",
                   "/docs/..%2f..%2fpawl.db", "/pawl.db", "/tokens", "/data/tokens"):
        assert ask(shared, "GET", target).status in (400, 404), target


# ---- injection ----

def test_attack_template_injection(shared):
    texts = ["{{7*7}}", "{{ config }}", "${7*7}", "#{7*7}", "<%= 7*7 %>", "{% raw %}", "$${env.PATH}", "%(x)s", "${jndi:ldap://x}"]
    # $${env.NAME} is the one way to write what would be a reference
    run = shared.execute(fresh(), dag({"id": "a", "command": ["printf", "%s\\n", *texts]}))
    assert run["state"] == "succeeded", run
    assert shared.log_of(run["runId"], "a") == "\n".join(texts).replace("$${", "${") + "\n"


def test_attack_references_inside_values(shared):
    """What a variable holds is not looked at again."""
    run = shared.execute(fresh(), dag({"id": "a", "command": ["printf", "%s", "${env.A}"],
                                       "env": {"A": "${env.B}", "B": "$${env.PATH} $(id) `id`"}}))
    assert shared.log_of(run["runId"], "a") == "${env.PATH} $(id) `id`"


def test_attack_shell_injection(shared):
    mark = os.path.join(shared.folder, "mark")
    evil = f"x; touch {mark}; $(touch {mark}) `touch {mark}` --version | & > < \\ ' \""
    made = ask(shared, "POST", "/api/v1/dags",
               {"name": evil, "yaml": dag({"id": evil, "command": 'printf "%s" "$V"', "env": {"V": f"$(touch {mark})"}})})
    assert made.status == 201, made
    run = shared.trigger(made.json["id"])
    shared.wait_run(run)
    assert shared.log_of(run, evil) == f"$(touch {mark})"
    assert not os.path.exists(mark)


def test_attack_option_injection(shared):
    """What begins with a dash is a value where a value belongs, in tasks and on the command line."""
    run = shared.execute(fresh(), dag({"id": "--help", "command": ["printf", "%s %s", "--version", "-n"]},
                                      {"id": "-c", "command": "echo \"$1$V\"", "env": {"V": "-e"}}))
    assert run["state"] == "succeeded"
    assert shared.log_of(run["runId"], "--help") == "--version -n" and shared.log_of(run["runId"], "-c") == "-e\n"
    done = command(shared, "logs", run["runId"], "--", "--help")
    assert done.stdout == b"--version -n", done
    for evil in ("--data=/etc", "-x", "--server=http://evil.example"):
        done = command(shared, "runs", "show", "--", evil)
        assert done.returncode in (2, 4) and b"evil.example:" not in done.stderr


def test_attack_sql_injection(shared):
    made = shared.create(fresh(), dag({"id": "a", "command": "true"}))
    for evil in ("' OR '1'='1", "'; DROP TABLE dags; --", "x' UNION SELECT hash FROM tokens --", "%", "_", "\\", "a\"b"):
        quoted = urllib.parse.quote(evil, safe="")
        found = ask(shared, "GET", f"/api/v1/dags?name={quoted}")
        assert found.status == 200 and found.json == [], (evil, found)
        for target in (f"/api/v1/runs?dagId={quoted}", f"/api/v1/dags?before={quoted}", f"/api/v1/runs?state={quoted}",
                       f"/api/v1/dlq?status={quoted}"):
            assert ask(shared, "GET", target).status == 400, target
    assert ask(shared, "GET", f"/api/v1/dags/{made['id']}").status == 200


def test_attack_header_injection_in_answers(shared):
    evil = "x\r\nSet-Cookie: a=b"
    answer = raw(shared, b"GET /live?x=%0d%0aSet-Cookie:%20a=b HTTP/1.1\r\n" + CLOSE + b"X-Request-Id: a\x0bb\r\n\r\n")
    assert b"Set-Cookie" not in answer.partition(b"\r\n\r\n")[0]
    made = ask(shared, "POST", "/api/v1/dags", {"name": evil, "yaml": dag({"id": "a", "command": "true"})})
    assert "set-cookie" not in made.headers
    for target in ("/%0d%0aSet-Cookie:a=b", "/api/v1/dags/%0d%0aX:y", "/\\\\evil.example", "//evil.example/%2f.."):
        answer = ask(shared, "GET", target)
        assert answer.status in (400, 404) and "set-cookie" not in answer.headers and "location" not in answer.headers


def test_attack_header_injection_in_http_tasks(shared):
    """A variable cannot end a header or the request and begin another."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        evil = "x\r\nX-Injected: 1\r\n\r\nGET /second HTTP/1.1"
        run = shared.execute(fresh(), dag(
            {"id": "value", "type": "http", "url": f"http://127.0.0.1:{port}/", "headers": {"A": "${env.E}"}, "env": {"E": evil}},
            {"id": "url", "type": "http", "url": f"http://127.0.0.1:{port}/${{env.E}}", "env": {"E": evil}}))
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            listener.accept()
    for task in run["tasks"]:
        assert task["state"] == "failed" and "control character" in task["error"]
    refused = ask(shared, "POST", "/api/v1/dags", {"name": fresh(), "yaml": dag(
        {"id": "a", "type": "http", "url": "http://127.0.0.1/", "headers": {"A\r\nB": "c"}})})
    assert refused.status == 400


def test_attack_log_injection(shared):
    """Nobody writes a second line into the daemon's log."""
    forged = "x\n{\"level\":\"error\",\"message\":\"forged\"}"
    ask(shared, "POST", "/api/v1/dags", {"name": forged, "yaml": dag({"id": "a", "command": "true"})})
    ask(shared, "GET", "/" + urllib.parse.quote(forged, safe=""))
    raw(shared, b"GET /live HTTP/1.1\r\n" + CLOSE + b"X-Request-Id: " + b"a" * 200 + b"\r\n\r\n")
    raw(shared, b"GET /live HTTP/1.1\r\n" + CLOSE + b"User-Agent: \x1b[31m\xff\xfe\r\n\r\n")
    lines = [json.loads(line) for line in shared.log().splitlines()]
    assert not [line for line in lines if line.get("message") == "forged"]
    assert "\x1b" not in shared.log()


def test_attack_event_stream_injection(shared):
    """Line breaks in what users write are no line breaks of the stream."""
    with shared.events() as stream:
        run_id = shared.start_run(fresh(), dag({"id": "a", "name": "x", "command": ["/nonexistent\n\nevent: forged\ndata: {}"]}))
        for event in stream:
            assert event.name != "forged"
            if event.name == "run" and event.data["runId"] == run_id and event.data["state"] == "failed":
                break


def test_attack_metrics_label_injection(shared):
    evil = 'x"} 1\nscheduler_forged{a="'
    made = ask(shared, "POST", "/api/v1/dags", {"name": evil, "yaml": dag({"id": "a", "command": "true"})})
    if made.status == 201:
        shared.wait_run(shared.trigger(made.json["id"]))
    assert not re.search(r"^scheduler_forged", shared.get("/metrics").text, re.M)


def test_attack_terminal_escapes(make_daemon):
    """Names, errors and log tails that commands put into tables and messages move no cursor and set no title."""
    daemon = make_daemon().start()
    escape = "\x1b]0;owned\x07\x1b[2J\x9b31m\x08"
    made = ask(daemon, "POST", "/api/v1/dags", {"name": "plain", "yaml": dag(
        {"id": "a", "command": f"printf '%s' '{escape}'; exit 1"}, {"id": "b", "command": [f"/nonexistent{escape}"]})})
    assert made.status == 201
    run = daemon.wait_run(daemon.trigger(made.json["id"]))
    letter = daemon.get("/api/v1/dlq").json[0]["id"]
    for arguments in (("runs", "list"), ("runs", "show", run["runId"]), ("dlq", "list"), ("dlq", "show", letter),
                      ("dlq", "groups"), ("why", run["runId"], "a"), ("dags", "show", "plain"), ("workers",),
                      ("runs", "watch", run["runId"])):
        done = command(daemon, *arguments)
        for control in (b"\x1b", b"\x07", b"\x08", b"\xc2\x9b"):
            assert control not in done.stdout + done.stderr, (arguments, done)
    refused = ask(daemon, "POST", "/api/v1/dags", {"name": escape, "yaml": dag({"id": "a", "command": "true"})})
    assert refused.status == 400
    done = command(daemon, "dags", "show", escape)
    assert b"\x1b" not in done.stderr


# ---- YAML and JSON ----

def test_attack_yaml_alias_bomb(shared):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for i in range(1, 12):
        lines.append(f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 10) + "]")
    merges = ["x0: &x0 {a: b}"] + [f"x{i}: &x{i} {{<<: [{', '.join([f'*x{i - 1}'] * 10)}]}}" for i in range(1, 20)]
    for bomb in ("\n".join(lines), "\n".join(merges), "&a [*a]", "a: &a {b: *a}"):
        answer = validate(shared, bomb)
        assert answer.status == 200 and answer.json["valid"] is False


def test_attack_yaml_nesting(shared):
    for bomb in ("[" * 100000, "{a: " * 100000, "- " * 50000, "? " * 50000, "'" * 100001, "\n".join(" " * i + "a:" for i in range(3000))):
        answer = validate(shared, bomb)
        assert answer.status == 200 and answer.json["valid"] is False


def test_attack_yaml_tags_make_no_objects(shared):
    for tag in ("!!python/object/apply:os.system [id]", "!!javax.script.ScriptEngineManager []", "!ruby/object:Gem::Installer {}",
                "!!binary aGk=", "!include /etc/passwd", "!!str &x"):
        answer = validate(shared, f"name: x\ndescription: {tag}\ntasks: [{{id: a, type: shell, command: 'true'}}]\n")
        assert answer.status == 200 and "root:" not in answer.text


def test_attack_json_tricks(shared):
    deep = "[" * 100000
    for body in (deep, '{"yaml":' + deep, '{"yaml": "a", "yaml": "b"}', '{"yaml": 1e999}', '{"__proto__": {"x": 1}, "yaml": ""}',
                 '{"yaml": "\\ud800"}', '{"yaml": "\\u0000"}', "\ufeff{}", "nul", '{"yaml": ""}x', b'{"yaml": "\xff\xfe"}'):
        answer = ask(shared, "POST", "/api/v1/dags/validate", body, Content_Type="application/json")
        assert answer.status in (200, 400), (body[:40], answer)
        if answer.status == 200:
            assert answer.json["valid"] is False


# ---- names ----

def test_attack_null_bytes(shared):
    for name in ("a\0b", "\0"):
        assert ask(shared, "POST", "/api/v1/dags", {"name": name, "yaml": dag({"id": "a", "command": "true"})}).status == 400
        assert ask(shared, "POST", "/api/v1/dags", {"name": fresh(), "yaml": dag({"id": name, "command": "true"})}).status == 400
    assert ask(shared, "POST", "/api/v1/dags", {"name": fresh(), "yaml": 'name: x\ntasks: [{id: a, type: shell, command: "a\\0b"}]'}
               ).status == 400
    for target in ("/api/v1/dags/%00", "/api/v1/dags?name=a%00b", f"/api/v1/runs/{SOME_ID}/tasks/a%00.txt/log"):
        assert ask(shared, "GET", target).status == 400, target


def test_attack_bidi_and_invisible_names(shared):
    """A name that shows as another: direction marks, line separators and control characters are refused in names and ids."""
    for evil in ("pay\u202egnp.exe", "a\u2066b\u2069", "a\u200eb", "a\u2028b", "a\u2029b", "a\u0085b", "a\rb", "a\x7fb", "\u061cb"):
        for body in ({"name": evil, "yaml": dag({"id": "a", "command": "true"})},
                     {"name": fresh(), "yaml": dag({"id": evil, "command": "true"})}):
            answer = ask(shared, "POST", "/api/v1/dags", body)
            assert answer.status == 400, (evil.encode("unicode_escape"), answer)


def test_attack_confusable_names(shared):
    """Names are bytes: what looks alike is another name and never found in place of the first."""
    name = fresh()
    made = shared.create(name, dag({"id": "admin", "command": "true"}))
    twin = name.replace("a", "\u0430")  # Cyrillic
    assert ask(shared, "GET", f"/api/v1/dags?name={urllib.parse.quote(twin)}").json == []
    other = shared.create(twin, dag({"id": "\u0430dmin", "command": "true"}))
    assert other["id"] != made["id"]
    for form in ("ＡＤＭＩＮ", "Admin", "admin ", "admin."):
        run = shared.wait_run(shared.trigger(made["id"]))
        assert ask(shared, "GET", f"/api/v1/runs/{run['runId']}/tasks/{urllib.parse.quote(form)}/log").status == 404


def test_attack_invalid_utf8(shared):
    for target in ("/api/v1/dags/%ff", "/api/v1/dags?name=%c0%80", "/api/v1/dags?name=%ed%a0%80", "/api/v1/dags?name=%f8%88%80%80%80"):
        assert ask(shared, "GET", target).status in (400, 404), target


# ---- browsers ----

def test_attack_csrf_form(shared):
    target = "/api/v1/dags/validate"
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        headers = {"Content-Type": kind} if kind else {}
        with Client(shared.port) as client:
            assert client.send("POST", target, json.dumps({"yaml": ""}), headers).status == 415, kind
            assert client.send("POST", target, json.dumps({"yaml": ""}), {**headers, "Origin": "http://evil.example"}).status == 403


def test_attack_csrf_without_a_body(shared):
    """A trigger needs no body, so the content type does not protect it."""
    made = shared.create(fresh(), dag({"id": "a", "command": "true"}))
    target = f"/api/v1/dags/{made['id']}/runs"
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
                    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}):
        with Client(shared.port) as client:
            assert client.send("POST", target, None, headers).status == 403, headers
    assert ask(shared, "GET", target).json == []


def test_attack_dns_rebinding_of_the_api(shared):
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "[::2]", "evil.example:8080@localhost",
                 "localhost@evil.example", "0x7f000001.evil.example"):
        for method in ("GET", "POST"):
            assert ask(shared, method, "/api/v1/runs", Host=host).status in (400, 403), host


def test_attack_host_header(shared):
    """No answer holds the Host that was sent: nothing to poison."""
    for header in ("X-Forwarded-Host", "X-Host", "Forwarded", "X-Forwarded-Server", "X-Original-Host"):
        answer = ask(shared, "GET", "/docs", **{header: "evil.example"})
        assert answer.status == 200 and "evil.example" not in answer.text + str(answer.headers)
    assert raw(shared, b"GET http://evil.example/live HTTP/1.1\r\n" + CLOSE + b"\r\n").split()[1] in (b"400", b"403", b"404")
    assert b" 400 " in raw(shared, b"GET /live HTTP/1.1\r\nHost: localhost\r\n" + CLOSE + b"\r\n").partition(b"\r\n")[0]


def test_attack_cors_leak(shared):
    for origin in ("null", "http://evil.example", "https://localhost.evil.example", "file://", "http://localhost.evil.example"):
        for method in ("GET", "OPTIONS"):
            answer = ask(shared, method, "/api/v1/runs", Origin=origin)
            assert answer.status == 403 and not [name for name in answer.headers if name.startswith("access-control-")]


def test_attack_log_borne_html(shared):
    html = "<script>alert(1)</script>"
    run = shared.execute(fresh(), dag({"id": "a", "command": f"echo '{html}'"}))
    log = ask(shared, "GET", f"/api/v1/runs/{run['runId']}/tasks/a/log")
    assert html in log.text
    assert log.headers["content-type"].startswith("text/plain") and log.headers["x-content-type-options"] == "nosniff"


def test_attack_stored_html_in_json(shared):
    html = "<img src=x onerror=alert(1)>"
    made = ask(shared, "POST", "/api/v1/dags", {"name": html, "yaml": dag({"id": html, "command": "true"}, description=html)})
    assert made.status == 201
    for target in (f"/api/v1/dags/{made.json['id']}", "/api/v1/dags", f"/api/v1/dags/{made.json['id']}/source", "/metrics",
                   "/" + urllib.parse.quote(html)):
        answer = ask(shared, "GET", target)
        assert "html" not in answer.headers["content-type"] and answer.headers["x-content-type-options"] == "nosniff", target


def test_attack_script_in_pages(shared):
    for page in ("/", "/docs"):
        answer = ask(shared, "GET", page)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy
        assert "frame-ancestors 'none'" in policy or answer.headers.get("x-frame-options") == "DENY"
        assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>\s*\S", answer.text), "a script within the page"


# ---- requests that are read in two ways ----

POST = b"POST /api/v1/dags/validate HTTP/1.1\r\n" + CLOSE + b"Content-Type: application/json\r\n"
SMUGGLED = b"GET /docs HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("how", [
    b"Content-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding:\x0bchunked\r\nContent-Length: 0\r\n\r\n",
    b"Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n",
    b"X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
    b"X: y\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
    b"Content-Length: 0\r\nContent-Length: 60\r\n\r\n",
    b"Content-Length: 0, 60\r\n\r\n", b"Content-Length: +0\r\n\r\n", b"Content-Length: 0x0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n0;\n\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n-0\r\n\r\n",
])
def test_attack_request_smuggling(shared, how):
    answer = raw(shared, POST + how + SMUGGLED)
    assert answer and b" 200 " not in answer and b"openapi.yaml" not in answer, answer[:300]


def test_attack_protocol_upgrade(shared):
    """h2c and WebSocket upgrades, which proxies pass on without looking, stay HTTP/1.1."""
    for upgrade in (b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
                    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"):
        with socket.create_connection(("127.0.0.1", shared.port), timeout=PATIENCE) as peer:
            peer.sendall(b"GET /live HTTP/1.1\r\nHost: localhost\r\n" + upgrade + b"\r\n")
            assert b" 101 " not in peer.recv(4096)
    assert b"HTTP/2" not in raw(shared, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")


def test_attack_method_override(guarded):
    """What may only be read with a token of a viewer is not changed with it by calling the method something else."""
    viewer = token(guarded, "viewer")
    auth = {"Authorization": f"Bearer {viewer}"}
    for override in ({"X-HTTP-Method-Override": "DELETE"}, {"X-HTTP-Method": "POST"}, {"X-Method-Override": "PUT"}):
        answer = ask(guarded, "GET", f"/api/v1/dags/{SOME_ID}", **auth, **override)
        assert answer.status == 404 and answer.code == "DAG_NOT_FOUND"
    assert ask(guarded, "GET", "/api/v1/dags?_method=DELETE", **auth).status == 400
    assert ask(guarded, "delete", f"/api/v1/dags/{SOME_ID}", **auth).status in (400, 405, 501)


def test_attack_path_rewriting_headers(guarded):
    for header in ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri", "X-Accel-Redirect", "X-Forwarded-Prefix"):
        assert ask(guarded, "GET", "/api/v1/dags", **{header: "/live"}).status == 401
        assert ask(guarded, "GET", "/live", **{header: "/api/v1/dags"}).json != []


def test_attack_cross_site_tracing(shared):
    for method in ("TRACE", "TRACK", "CONNECT", "DEBUG", "PROPFIND"):
        answer = raw(shared, f"{method} /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Echo: echo-me\r\n\r\n".encode())
        assert b"echo-me" not in answer and answer.split()[1] in (b"400", b"405", b"501"), answer


# ---- who is who ----

def test_attack_default_credentials(guarded):
    for user, password in (("admin", "admin"), ("airflow", "airflow"), ("pawl", "pawl"), ("root", ""), ("admin", "password")):
        basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        assert ask(guarded, "GET", "/api/v1/dags", Authorization=f"Basic {basic}").status == 401
        assert ask(guarded, "GET", "/api/v1/dags", Cookie=f"session={basic}").status == 401
    assert not os.path.exists(os.path.join(guarded.data, "tokens"))


def test_attack_almost_a_token(guarded):
    """Only the whole token counts, and only in its header."""
    made = token(guarded, "admin")
    for almost in (made[:-1], made + "0", made.upper(), made + " ", made[:-1] + ("0" if made[-1] != "0" else "1")):
        assert ask(guarded, "GET", "/api/v1/dags", Authorization=f"Bearer {almost.strip()}" if almost != made + " " else
                   f"Bearer {almost}x").status == 401, almost
    for target in (f"/api/v1/dags?token={made}", f"/api/v1/dags?access_token={made}"):
        assert ask(guarded, "GET", target).status == 401
    for headers in ({"X-Api-Key": made}, {"Cookie": f"token={made}"}, {"Authorization": made}, {"X-Pawl-Owner": made}):
        assert ask(guarded, "GET", "/api/v1/dags", **headers).status == 401, headers
    assert ask(guarded, "GET", "/api/v1/dags", Authorization=f"Bearer {made}").status == 200


def test_attack_token_guessing(guarded):
    answers = [ask(guarded, "GET", "/api/v1/dags", Authorization=f"Bearer pawl_{i:064x}",
                   X_Forwarded_For=f"192.0.2.{i}").status for i in range(30)]
    assert 429 in answers and set(answers) == {401, 429}, "an invented address behind a proxy is not believed"
    right = token(guarded, "viewer")
    assert ask(guarded, "GET", "/api/v1/dags", Authorization=f"Bearer {right}").status == 200, "nobody is locked out"


def test_attack_enumeration(guarded):
    """Without a token what is there and what is not look alike; a wrong token does not tell why it is none."""
    admin = {"Authorization": f"Bearer {token(guarded, 'admin')}"}
    made = ask(guarded, "POST", "/api/v1/dags", {"name": "d", "yaml": dag({"id": "a", "command": "true"})}, **admin).json["id"]
    there, not_there = ask(guarded, "GET", f"/api/v1/dags/{made}"), ask(guarded, "GET", f"/api/v1/dags/{SOME_ID}")
    assert there.status == not_there.status == 401 and there.body == not_there.body
    gone = token(guarded, "viewer", "--name", "gone")
    command(guarded, "token", "revoke", "gone")

    def revoked():
        return ask(guarded, "GET", "/api/v1/dags", Authorization=f"Bearer {gone}")

    eventually(lambda: revoked().status == 401, "it is refused")
    never = ask(guarded, "GET", "/api/v1/dags", Authorization="Bearer pawl_" + "7" * 64)
    assert revoked().body == never.body


def test_attack_token_timing(guarded):
    """Nothing to time: a token is looked up by its SHA-256, so the first differing byte says nothing about the token."""
    made = token(guarded, "admin")
    with open(os.path.join(guarded.data, "tokens"), encoding="utf-8") as file:
        kept = file.read()
    assert made not in kept and made[5:20] not in kept
    assert hashlib.sha256(made.encode()).hexdigest() in kept


def test_attack_owner_secret_guessing(guarded):
    with open(os.path.join(guarded.data, "address"), encoding="utf-8") as file:
        secret = dict(line.split("=", 1) for line in file.read().splitlines())["token"]
    for almost in ("", secret[:-1], secret.upper() if secret.upper() != secret else "0", secret + "0", "0" * 64):
        assert ask(guarded, "GET", "/api/v1/dags", X_Pawl_Owner=almost).status == 401
    assert ask(guarded, "GET", "/api/v1/dags", X_Pawl_Owner=secret).status == 200


def test_attack_privilege_escalation(guarded):
    """An operator cannot get at an admin's rights, nor two principals at each other's keys."""
    operator, admin = ({"Authorization": f"Bearer {token(guarded, role)}"} for role in ("operator", "admin"))
    made = ask(guarded, "POST", "/api/v1/dags", {"name": "d", "yaml": dag({"id": "a", "command": "true"})}, **admin).json["id"]
    for method, target, body in (("PUT", f"/api/v1/dags/{made}", {"yaml": "x"}), ("DELETE", f"/api/v1/dags/{made}", None),
                                 ("POST", "/api/v1/dags", {"name": "e", "yaml": "x"})):
        assert ask(guarded, method, target, body, **operator).status == 403
    runs = f"/api/v1/dags/{made}/runs"
    first = ask(guarded, "POST", runs, None, Idempotency_Key="k", **operator).json["runId"]
    assert ask(guarded, "POST", runs, None, Idempotency_Key="k", **operator).json["runId"] == first
    assert ask(guarded, "POST", runs, None, Idempotency_Key="k", **admin).json["runId"] != first


def test_attack_errors_that_tell_too_much(shared):
    for method, target, body in (("GET", "/api/v1/dags/x", None), ("POST", "/api/v1/dags", {"name": 1}), ("GET", "/nothing", None),
                                 ("GET", f"/api/v1/runs/{SOME_ID}", None)):
        text = ask(shared, method, target, body).text
        for word in (shared.folder, "SQLITE", "SELECT", ".c:", "0x", "errno"):
            assert word not in text, (target, text)


# ---- too much, too slow ----

def test_attack_oversized_everything(shared):
    assert b" 431 " in raw(shared, b"GET /live HTTP/1.1\r\n" + CLOSE + b"X: " + b"y" * 20000 + b"\r\n\r\n").partition(b"\r\n")[0]
    assert b" 431 " in raw(shared, b"GET /live HTTP/1.1\r\n" + CLOSE + b"".join(b"X%d: y\r\n" % i for i in range(2000)) + b"\r\n").partition(b"\r\n")[0]
    assert b" 414 " in raw(shared, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + CLOSE + b"\r\n").partition(b"\r\n")[0]
    assert b" 413 " in raw(shared, POST + b"Content-Length: 99999999999\r\n\r\n").partition(b"\r\n")[0]
    long = {"name": "n" * 251, "yaml": dag({"id": "a", "command": "true"})}
    assert ask(shared, "POST", "/api/v1/dags", long).status == 400
    assert ask(shared, "POST", "/api/v1/dags", {"name": fresh(), "yaml": dag({"id": "i" * 251, "command": "true"})}).status == 400
    assert ask(shared, "POST", f"/api/v1/dags/{SOME_ID}/runs", None, Idempotency_Key="k" * 256).status == 400


def test_attack_number_overflow(shared):
    for query in ("limit=0", "limit=-1", "limit=1001", "limit=99999999999999999999", "limit=1e3", "limit=0x10", "limit=%2b5",
                  "offset=-1", "offset=10001", "limit=5&limit=6", "limit="):
        assert ask(shared, "GET", f"/api/v1/dags?{query}").status == 400, query
    run = shared.execute(fresh(), dag({"id": "a", "command": "echo x"}))
    target = f"/api/v1/runs/{run['runId']}/tasks/a/log"
    for query in ("offset=-1", "offset=99999999999999999999", "limit=-5", "limit=999999999999", "attempt=-1", "attempt=4294967297"):
        assert ask(shared, "GET", f"{target}?{query}").status in (400, 404), query
    assert ask(shared, "GET", f"{target}?offset=9223372036854775807").text == ""


def test_attack_compressed_body(shared):
    """A small body that unpacks to a large one is never unpacked."""
    bomb = gzip.compress(b'{"yaml": "' + b" " * 50_000_000 + b'"}')
    answer = ask(shared, "POST", "/api/v1/dags/validate", bomb, Content_Type="application/json", Content_Encoding="gzip")
    assert answer.status in (400, 415)


def test_attack_slowloris(make_daemon):
    """Heads and bodies that never end are closed while others are served."""
    one = make_daemon("--request-timeout", "2s", "--idle-timeout", "2s").start()
    slow = [socket.create_connection(("127.0.0.1", one.port), timeout=PATIENCE) for _ in range(60)]
    try:
        for i, peer in enumerate(slow):
            peer.sendall((b"GET /live HTTP/1.1\r\nX: ", POST + b"Content-Length: 50\r\n\r\n{", b"")[i % 3])
        assert one.get("/live").status == 200
        for peer in slow:
            with contextlib.suppress(ConnectionResetError):
                while peer.recv(65536):
                    pass
    finally:
        for peer in slow:
            peer.close()
    assert one.get("/live").status == 200


def test_attack_connection_flood(make_daemon):
    one = make_daemon("--connections-max", "50").start()
    held = []
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                held.append(socket.create_connection(("127.0.0.1", one.port), timeout=PATIENCE))
    finally:
        for peer in held:
            peer.close()

    def answers():
        with contextlib.suppress(OSError):
            return ask(one, "GET", "/live").status == 200

    eventually(answers, "an answer after the flood")


def test_attack_log_flood(make_daemon):
    """A task that writes without end fills its own log and nothing else."""
    one = make_daemon("--log-bytes-max", "64KiB").start()
    run = one.execute(fresh(), dag({"id": "a", "command": "head -c 50000000 /dev/zero"}))
    log = one.log_of(run["runId"], "a")
    assert run["state"] == "succeeded" and len(log) < 70000 and "not kept" in log


# ---- tasks against the daemon ----

def test_attack_environment_of_the_daemon(make_daemon):
    one = make_daemon(env={"AWS_SECRET_ACCESS_KEY": "leak-1", "PAWL_TOKEN": "leak-2", "LD_PRELOAD_X": "leak-3",
                           "SSH_AUTH_SOCK": "leak-4", "http_proxy": "leak-5"}).start()
    run = one.execute(fresh(), dag({"id": "a", "command": "env"}, {"id": "b", "type": "python", "script": "import os\nprint(dict(os.environ))\n"}))
    assert run["state"] == "succeeded"
    for task in ("a", "b"):
        assert "leak-" not in one.log_of(run["runId"], task)


def test_attack_inherited_descriptors(shared):
    """A task holds its input, its output and nothing of the daemon's: no store, no socket."""
    run = shared.execute(fresh(), dag({"id": "a", "command": "ls -l /proc/$$/fd"}))
    links = re.findall(r"(\d+) -> (\S+)", shared.log_of(run["runId"], "a"))
    assert {int(fd) for fd, _ in links} <= {0, 1, 2, 10, 255}, links
    assert dict(links)["0"] == "/dev/null"
    assert not [target for _, target in links if "socket" in target or shared.data in target]


def test_attack_input_from_the_terminal(shared):
    """A task cannot type into the terminal the daemon was started from: it has a session of its own and no terminal."""
    script = "import os\nprint(os.getsid(0) == os.getpid() or os.getsid(0) == os.getppid())\ntry:\n    os.open('/dev/tty', os.O_RDWR)\n" \
             "    print('tty')\nexcept OSError:\n    print('none')\n"
    run = shared.execute(fresh(), dag({"id": "a", "type": "python", "script": script}))
    assert shared.log_of(run["runId"], "a") == "True\nnone\n"


def test_attack_reserved_variables(shared):
    """A DAG cannot forge what pawl tells its tasks."""
    for name in ("PAWL_RUN_ID", "PAWL_FENCE", "PAWL_ANYTHING"):
        answer = ask(shared, "POST", "/api/v1/dags", {"name": fresh(), "yaml": dag({"id": "a", "command": "true", "env": {name: "x"}})})
        assert answer.status == 400, name
    for name in ("A=B", "", "A B", "1A", "A\nB"):
        answer = ask(shared, "POST", "/api/v1/dags", {"name": fresh(), "yaml": dag({"id": "a", "command": "true", "env": {name: "x"}})})
        assert answer.status == 400, name


# ---- the list ----

def test_docs_list_every_attack():
    """docs/security.md names each test above and no other."""
    with open(os.path.join(source_root(), "docs/security.md"), encoding="utf-8") as page:
        listed = set(re.findall(r"`(test_attack_\w+)`", page.read()))
    here = {name for name in vars(sys.modules[__name__]) if name.startswith("test_attack_")}
    assert listed == here, f"missing: {sorted(here - listed)}; unknown: {sorted(listed - here)}"
    assert len(here) >= 30
