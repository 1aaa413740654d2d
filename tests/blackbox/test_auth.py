"""Tokens, roles and who may listen where, with the real program."""
import json
import os
import re
import socket
import ssl
import stat
import subprocess
import urllib.parse

import pytest
from support import Client, dag, eventually, pawl_path, raw_exchange

ONE = dag({"id": "a", "command": "true"}, name="one")


def pawl(daemon, *arguments, status=0, env=None):
    """A command on the daemon's directory; what it printed."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PAWL_")}
    done = subprocess.run([pawl_path(), *arguments, "--data", daemon.data], env={**clean, **(env or {})}, text=True,
                          capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert done.returncode == status, f"{arguments} gave {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def token(daemon, role, *options):
    made = pawl(daemon, "token", "create", "--role", role, *options).stdout.strip()
    assert re.fullmatch(r"pawl_[0-9a-f]{64}", made)
    return made


def ask(daemon, method, target, text=None, body=None, **headers):
    if text:
        headers["Authorization"] = f"Bearer {text}"
    with Client(daemon.port) as client:
        return client.send(method, target, body, headers)


@pytest.fixture
def guarded(make_daemon):
    """A daemon that asks for tokens. Its first worker is not waited for by the API, which would need one."""
    one = make_daemon("--require-token")
    one.spawn()
    one.port = int(one.read_line().rsplit(":", 1)[1])
    return one


def test_roles(guarded):
    viewer, operator, admin = (token(guarded, role) for role in ("viewer", "operator", "admin"))
    assert ask(guarded, "GET", "/api/v1/dags").status == 401
    assert ask(guarded, "GET", "/live").status == 200
    body = {"name": "one", "yaml": ONE}
    assert ask(guarded, "POST", "/api/v1/dags", viewer, body).status == 403
    assert ask(guarded, "POST", "/api/v1/dags", operator, body).status == 403
    made = ask(guarded, "POST", "/api/v1/dags", admin, body)
    assert made.status == 201
    runs = f"/api/v1/dags/{made.json['id']}/runs"
    refused = ask(guarded, "POST", runs, viewer)
    assert refused.status == 403 and "operator" in refused.json["message"]
    assert ask(guarded, "POST", runs, operator).status == 202
    assert ask(guarded, "GET", runs, viewer).status == 200


def test_who_may_only_run_does_not_say_what_is_run(guarded):
    """A retry with changes is a change of what runs: not for an operator."""
    admin, operator = token(guarded, "admin"), token(guarded, "operator")
    made = ask(guarded, "POST", "/api/v1/dags", admin,
               {"name": "one", "yaml": dag({"id": "a", "command": "exit 1"}, name="one")}).json
    ask(guarded, "POST", f"/api/v1/dags/{made['id']}/runs", operator)
    letters = eventually(lambda: ask(guarded, "GET", "/api/v1/dlq", operator).json, "the dead letter")
    target, changes = f"/api/v1/dlq/{letters[0]['id']}/retry", {"changes": {"command": "touch PWNED"}}
    refused = ask(guarded, "POST", target, operator, changes)
    assert refused.status == 403 and "admin" in refused.json["message"]
    assert not os.path.exists(os.path.join(guarded.data, "work", "PWNED"))
    assert ask(guarded, "POST", target, admin, changes).status == 202


def test_a_token_is_made_and_revoked_beside_the_daemon(guarded):
    made = token(guarded, "viewer", "--name", "ci", "--expires", "1h")
    assert ask(guarded, "GET", "/api/v1/runs", made).status == 200
    listed = json.loads(pawl(guarded, "token", "list", "-o", "json").stdout)
    assert [(one["name"], one["role"]) for one in listed] == [("ci", "viewer")]
    assert "token" not in listed[0] and listed[0]["expiresAt"]
    pawl(guarded, "token", "revoke", "ci")
    eventually(lambda: ask(guarded, "GET", "/api/v1/runs", made).status == 401, "the token is refused")
    pawl(guarded, "token", "revoke", "ci", status=4)


def test_nothing_of_a_token_is_kept_or_logged(guarded):
    made = token(guarded, "operator", "--name", "robot")
    ask(guarded, "GET", "/api/v1/runs", made)
    ask(guarded, "POST", "/api/v1/dags", made, {"name": "one", "yaml": ONE})
    ask(guarded, "GET", "/api/v1/runs", "pawl_" + "ab" * 32)
    guarded.stop()
    assert stat.S_IMODE(os.stat(os.path.join(guarded.data, "tokens")).st_mode) == 0o600
    for folder, _, names in os.walk(guarded.data):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                assert made[5:].encode() not in file.read()
    log = guarded.log()
    assert made[5:] not in log and "ab" * 32 not in log
    lines = [json.loads(line) for line in log.splitlines()]
    # the trail: who was refused what, and that somebody tried with nothing known
    assert any(line.get("principal") == "robot" and line.get("method") == "POST" and line["status"] == "403"
               and line["peer"] == "127.0.0.1" and line["level"] == "info" for line in lines)
    assert any("not known" in (line.get("message") or line.get("msg")) for line in lines)


def test_there_are_no_default_credentials(guarded):
    for text in ("admin", "pawl", "owner", "anonymous", "", "pawl_", "0" * 64, "pawl_" + "0" * 64):
        assert ask(guarded, "GET", "/api/v1/runs", text or " ").status in (401, 429)
    for owner in ("", "0", "0" * 64, "owner", "*"):
        assert ask(guarded, "GET", "/api/v1/runs", **{"X-Pawl-Owner": owner}).status == 401
    for basic in ("YWRtaW46YWRtaW4=", "cGF3bDpwYXds"):
        assert ask(guarded, "GET", "/api/v1/runs", Authorization=f"Basic {basic}").status == 401


def test_commands(guarded, tmp_path):
    """Who owns the directory needs no token; elsewhere PAWL_TOKEN or a file is sent."""
    path = tmp_path / "one.yaml"
    path.write_text(ONE)
    pawl(guarded, "dags", "apply", str(path))
    server = ["--server", f"http://127.0.0.1:{guarded.port}"]
    elsewhere = type("Elsewhere", (), {"data": str(tmp_path / "nowhere")})
    assert "token" in pawl(elsewhere, "dags", "list", *server, status=6).stderr
    viewer, operator = token(guarded, "viewer"), token(guarded, "operator")
    pawl(elsewhere, "dags", "list", *server, env={"PAWL_TOKEN": viewer})
    refused = pawl(elsewhere, "trigger", "one", *server, env={"PAWL_TOKEN": viewer}, status=6)
    assert "operator" in refused.stderr
    file = tmp_path / "token"
    file.write_text(operator + "\n")
    pawl(elsewhere, "trigger", "one", "--wait", *server, "--token-file", str(file), env={"PAWL_TOKEN": viewer})
    pawl(elsewhere, "dags", "list", *server, env={"PAWL_TOKEN": "a\r\nX-Pawl-Owner: b"}, status=2)


def test_too_many_wrong_tokens(guarded):
    good = token(guarded, "viewer")
    eventually(lambda: ask(guarded, "GET", "/api/v1/runs", "pawl_wrong").status == 429, "429")
    limited = ask(guarded, "GET", "/api/v1/runs", "pawl_wrong")
    assert limited.status == 429 and limited.code == "TOO_MANY_REQUESTS" and int(limited.headers["retry-after"]) >= 1
    assert ask(guarded, "GET", "/api/v1/runs", good).status == 200


def refused_to_serve(daemon, *options):
    """What `serve` says instead of starting."""
    done = pawl(daemon, "serve", *options, status=3)
    assert done.stdout == ""
    return done.stderr


def test_other_addresses_need_tls_and_tokens(make_daemon, certificate, tmp_path):
    one = make_daemon()
    cert, key = certificate
    assert "allow-plain-http" in refused_to_serve(one, "--listen", "0.0.0.0:0")
    assert "allow-plain-http" in refused_to_serve(one, "--listen", "0.0.0.0:0", "--allow-anonymous")
    assert "contradict" in refused_to_serve(one, "--require-token", "--allow-anonymous")
    assert "both" in refused_to_serve(one, "--tls-cert", cert)
    assert "tls-cert" in refused_to_serve(one, "--tls-cert", str(tmp_path / "none"), "--tls-key", key)
    assert "together" in refused_to_serve(one, "--tls-cert", key, "--tls-key", key)
    os.chmod(key, 0o644)
    assert "chmod 600" in refused_to_serve(one, "--tls-cert", cert, "--tls-key", key)


def started(daemon, *options):
    daemon.spawn(*options)
    line = daemon.read_line()
    assert line.startswith("listening on "), daemon.log()
    daemon.port = int(line.rsplit(":", 1)[1])
    return line


@pytest.mark.parametrize("anonymous", [False, True])
def test_plain_http_for_others_is_said_loudly(make_daemon, anonymous):
    one = make_daemon("--allow-plain-http", *(["--allow-anonymous"] if anonymous else []))
    started(one, "--listen", "0.0.0.0:0")
    assert ask(one, "GET", "/api/v1/runs").status == (200 if anonymous else 401)
    warnings = [line for line in map(json.loads, one.log().splitlines()) if line["level"] == "warn"]
    assert any("allow-plain-http" in json.dumps(line) for line in warnings)
    assert any(("allow-anonymous" if anonymous else "token create") in json.dumps(line) for line in warnings)
    # by address is fine, by a name that somebody else's DNS made is not
    assert ask(one, "GET", "/live", Host="192.0.2.7:80").status == 200
    assert ask(one, "GET", "/live", Host="evil.example").status == 403
    assert ask(one, "POST", "/api/v1/dags/validate", None, {"yaml": ""}, Host="192.0.2.7",
               Origin="http://192.0.2.8").status == 403


# ---- TLS ----

@pytest.fixture
def certificate(tmp_path):
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout",
                    key, "-out", cert], check=True, capture_output=True)
    os.chmod(key, 0o600)
    return cert, key


@pytest.fixture
def secure(make_daemon, certificate):
    one = make_daemon("--tls-cert", certificate[0], "--tls-key", certificate[1])
    assert started(one, "--listen", "0.0.0.0:0").startswith("listening on https://")
    return one


def tls_request(daemon, certificate, request, **limits):
    context = ssl.create_default_context(cafile=certificate[0])
    for name, value in limits.items():
        setattr(context, name, value)
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=60) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as peer:
            peer.sendall(request)
            answer, version = b"", peer.version()
            while piece := peer.recv(65536):
                answer += piece
            return answer, version


def test_tls(secure, certificate):
    made = token(secure, "viewer")
    head = b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer %s\r\n\r\n"
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        answer, spoken = tls_request(secure, certificate, head % (b"/api/v1/runs", made.encode()),
                                     minimum_version=version, maximum_version=version)
        assert answer.startswith(b"HTTP/1.1 200 ") and spoken == version.name.replace("_", ".")
    assert tls_request(secure, certificate, head % (b"/api/v1/runs", b"x"))[0].startswith(b"HTTP/1.1 401 ")
    # the head is checked as strictly as without TLS
    folded = b"GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nA: b\r\n c\r\n\r\n"
    assert tls_request(secure, certificate, folded)[0].startswith(b"HTTP/1.1 400 ")
    large = head % (b"/docs/openapi.yaml", b"x")
    assert len(tls_request(secure, certificate, large)[0]) > 50000


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_tls_and_plain_http_fail_cleanly(secure, certificate):
    weak = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    weak.check_hostname, weak.verify_mode = False, ssl.CERT_NONE
    weak.set_ciphers("ALL:@SECLEVEL=0")
    weak.minimum_version = ssl.TLSVersion.TLSv1
    weak.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", secure.port), timeout=60) as plain, pytest.raises(ssl.SSLError):
        weak.wrap_socket(plain, server_hostname="localhost")
    answer = raw_exchange(secure.port, b"GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert b"HTTP/1.1 200" not in answer and b"ok" not in answer
    request = b"GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert tls_request(secure, certificate, request)[0].startswith(b"HTTP/1.1 200 ")


# ---- attacks that others have met ----

def test_no_path_leaves_the_data_directory(shared):
    for piece in ("..%2f..%2f..%2fetc%2fpasswd", "..", "%2e%2e", "..%5c..", "%252e%252e%252f", "/etc/passwd"):
        for target in (f"/api/v1/runs/{piece}/tasks/a/log", f"/api/v1/task-instances/{piece}/log", f"/ui/{piece}",
                       f"/docs/{piece}", f"/api/v1/dags/{piece}/source",
                       f"/api/v1/runs/01936000-0000-7000-8000-000000000000/tasks/{piece}/log"):
            answer = ask(shared, "GET", target)
            assert answer.status in (400, 404), f"{target}: {answer}"
            assert "root:" not in answer.text


def test_a_page_of_another_site_gets_nowhere(shared):
    """CSRF and DNS rebinding: neither a form, nor a script, nor a name that was pointed here."""
    target = "/api/v1/dags/validate"
    form = {"Content-Type": "text/plain", "Origin": "http://evil.example"}
    with Client(shared.port) as client:
        assert client.send("POST", target, json.dumps({"yaml": ""}), form).status == 403
    assert ask(shared, "POST", target, None, {"yaml": ""}, **{"Sec-Fetch-Site": "cross-site"}).status == 403
    with Client(shared.port) as client:  # a form cannot send JSON, even without an Origin
        assert client.send("POST", target, json.dumps({"yaml": ""}), {"Content-Type": "text/plain"}).status == 415
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "[::2]"):
        for method in ("GET", "POST"):
            assert ask(shared, method, "/api/v1/runs", Host=host).status == 403
    for origin in ("null", "http://evil.example", "https://localhost.evil.example", "file://"):
        answer = ask(shared, "GET", "/api/v1/runs", Origin=origin)
        assert answer.status == 403 and "access-control-allow-origin" not in answer.headers
        assert ask(shared, "OPTIONS", "/api/v1/runs", Origin=origin).status == 403


def test_yaml_bombs_end_at_once(shared):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for i in range(1, 12):
        lines.append(f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 10) + "]")
    for bomb in ("\n".join(lines), "[" * 100000, "{a: " * 100000, "&a [*a]", "x: !!python/object/apply:os.system [id]"):
        answer = ask(shared, "POST", "/api/v1/dags/validate", None, {"yaml": bomb})
        assert answer.status == 200 and answer.json["valid"] is False


def test_what_users_write_is_never_a_command(shared):
    """Names, ids and trigger data reach no shell and no option of a program."""
    mark = os.path.join(shared.folder, "mark")
    evil = f"x; touch {mark}; $(touch {mark}) `touch {mark}` --version"
    body = {"name": evil, "yaml": dag({"id": evil, "command": 'printf "%s" "$V"', "env": {"V": f"$(touch {mark})"}})}
    made = ask(shared, "POST", "/api/v1/dags", None, body)
    assert made.status in (201, 400)
    if made.status == 201:
        run = ask(shared, "POST", f"/api/v1/dags/{made.json['id']}/runs").json["runId"]
        shared.wait_run(run)
        log = ask(shared, "GET", f"/api/v1/runs/{run}/tasks/{urllib.parse.quote(evil, safe='')}/log")
        assert log.text == f"$(touch {mark})"
    assert not os.path.exists(mark)


def test_a_log_is_text_and_nothing_else(shared):
    html = "<script>alert(1)</script>"
    made = ask(shared, "POST", "/api/v1/dags", None,
               {"name": "html", "yaml": dag({"id": "a", "command": f"echo '{html}'"})})
    run = ask(shared, "POST", f"/api/v1/dags/{made.json['id']}/runs").json["runId"]
    shared.wait_run(run)
    log = ask(shared, "GET", f"/api/v1/runs/{run}/tasks/a/log")
    assert html in log.text
    assert log.headers["content-type"].startswith("text/plain") and log.headers["x-content-type-options"] == "nosniff"
    page = ask(shared, "GET", "/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
