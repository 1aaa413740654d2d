"""Commands speak TLS: with whom the system, a CA file or the data directory vouches for, and with nobody else."""
import hashlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import threading

import pytest
from support import PATIENCE, dag, eventually, pawl_path


def make_certificate(folder, name, subject_names, issuer=None):
    """A key and a certificate; self-signed, or by issuer's."""
    key, cert = os.path.join(folder, f"{name}.key"), os.path.join(folder, f"{name}.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
               "-subj", f"/CN={name}", "-addext", f"subjectAltName={subject_names}", "-keyout", key, "-out", cert]
    if issuer:
        command += ["-CA", issuer[0], "-CAkey", issuer[1], "-addext", "basicConstraints=critical,CA:false"]
    subprocess.run(command, check=True, capture_output=True)
    os.chmod(key, 0o600)
    return cert, key


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("ca"), "authority", "DNS:authority")


@pytest.fixture
def secure(make_daemon, authority, tmp_path):
    """A daemon with TLS and tokens, whose certificate names localhost and 127.0.0.1."""
    cert, key = make_certificate(tmp_path, "server", "DNS:localhost,IP:127.0.0.1", authority)
    one = make_daemon("--tls-cert", cert, "--tls-key", key, "--require-token")
    one.spawn()
    line = one.read_line()
    assert line.startswith("listening on https://127.0.0.1:"), one.log()
    one.port = int(line.rsplit(":", 1)[1])
    return one


def pawl(*arguments, status=0, env=None, folder="/"):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PAWL_")}
    done = subprocess.run([pawl_path(), *arguments], env={**clean, "XDG_DATA_HOME": "/nonexistent", **(env or {})},
                          text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False,
                          cwd=folder)
    assert done.returncode == status, f"{arguments} gave {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Sanitizer" not in done.stderr, done.stderr
    return done


def token_of(daemon, role="admin"):
    return pawl("token", "create", "--role", role, "--data", daemon.data).stdout.strip()


def test_every_kind_of_call(secure, authority, tmp_path):
    remote = {"PAWL_SERVER": f"https://localhost:{secure.port}", "PAWL_CA_FILE": authority[0],
              "PAWL_TOKEN": token_of(secure)}
    lines = "for i in 1 2 3 4 5 6 7 8 9; do echo line $i; done"
    (tmp_path / "d.yaml").write_text(dag({"id": "a", "command": lines},
                                         {"id": "b", "command": "echo end", "dependencies": ["a"]}, name="d"))
    # big enough for many records of TLS in both directions
    (tmp_path / "big.yaml").write_text(dag(*({"id": f"t{i}", "command": "true"} for i in range(5000)), name="big"))
    assert "ok" in pawl("health", env=remote).stdout
    for file in ("d.yaml", "big.yaml"):
        pawl("dags", "apply", str(tmp_path / file), env=remote)
    assert len(pawl("dags", "show", "big", "--source", env=remote).stdout) > 200000
    waited = pawl("trigger", "d", "--wait", env=remote)
    assert "succeeded" in waited.stdout + waited.stderr
    run_id = json.loads(pawl("runs", "list", "-o", "json", env=remote).stdout)[0]["runId"]
    assert pawl("logs", run_id, "a", env=remote).stdout == "".join(f"line {i}\n" for i in range(1, 10))
    followed = pawl("logs", run_id, "-f", env=remote).stdout
    assert "line 9" in followed and "end" in followed
    assert "succeeded" in pawl("runs", "watch", run_id, env=remote).stdout


def test_events_and_logs_while_they_grow(secure, authority, tmp_path, gate):
    remote = {"PAWL_SERVER": f"https://127.0.0.1:{secure.port}", "PAWL_CA_FILE": authority[0],
              "PAWL_TOKEN": token_of(secure)}
    door = gate()
    (tmp_path / "d.yaml").write_text(dag({"id": "a", "command": f"echo first; {door.command('echo last')}"}, name="g"))
    pawl("dags", "apply", str(tmp_path / "d.yaml"), env=remote)
    run_id = pawl("trigger", "g", env=remote).stdout.split()[-1]
    door.wait_arrival()
    follower = subprocess.Popen([pawl_path(), "logs", run_id, "-f"], env={**os.environ, **remote}, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert "first" in follower.stdout.readline()
    door.open()
    out, talk = follower.communicate(timeout=PATIENCE)
    assert follower.returncode == 0 and "last" in out, talk


def test_whom_nobody_vouches_for_is_not_spoken_to(secure, authority, tmp_path):
    token = token_of(secure)
    url = f"https://localhost:{secure.port}"
    other = make_certificate(tmp_path, "other", "DNS:other")

    def refused(*arguments):
        said = pawl("runs", "list", *arguments, env={"PAWL_TOKEN": token}, status=7).stderr
        assert token not in said
        return said

    assert "certificate" in refused("--server", url)                              # the system knows no such authority
    assert "certificate" in refused("--server", url, "--ca-file", other[0])
    assert "ca-file" in pawl("runs", "list", "--server", url, "--ca-file", other[1], status=3).stderr
    pawl("runs", "list", "--server", url, "--ca-file", authority[0], env={"PAWL_TOKEN": token})
    # a name that is not in the certificate
    named = f"https://127.0.0.2:{secure.port}"
    with socket.create_server(("127.0.0.2", 0)) as listener:
        named = f"https://127.0.0.2:{listener.getsockname()[1]}"
        thread = threading.Thread(target=pass_on, args=(listener, secure.port))
        thread.start()
        said = refused("--server", named, "--ca-file", authority[0])
        thread.join()
    assert "certificate" in said and "name" in said
    assert "no TLS" in refused("--server", f"https://127.0.0.1:{plain_echo_port()}", "--ca-file", authority[0])
    # and the token is asked for as without TLS
    pawl("runs", "list", "--server", url, "--ca-file", authority[0], status=6)


def pass_on(listener, port):
    """One connection, passed to another port."""
    taken, _ = listener.accept()
    with taken, socket.create_connection(("127.0.0.1", port)) as there:
        back = threading.Thread(target=copy, args=(there, taken))
        back.start()
        copy(taken, there)
        there.shutdown(socket.SHUT_RDWR)
        back.join()


def copy(source, target):
    try:
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def plain_echo_port():
    """A server that speaks no TLS, for one connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with listener:
            peer, _ = listener.accept()
            with peer:
                peer.recv(1000)
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                peer.shutdown(socket.SHUT_WR)
                copy(peer, peer)

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def test_commands_beside_the_daemon_know_its_certificate(make_daemon, tmp_path):
    """By its fingerprint in DATA/address, whatever it is made for; a changed one is refused."""
    cert, key = make_certificate(tmp_path, "elsewhere", "DNS:scheduler.example.org")
    one = make_daemon("--tls-cert", cert, "--tls-key", key)
    one.spawn()
    assert one.read_line().startswith("listening on https://")
    assert pawl("runs", "list", "--data", one.data).returncode == 0
    path = os.path.join(one.data, "address")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    pin = next(line for line in text.splitlines() if line.startswith("pin="))
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(pin, "pin=" + "0" * 64))
    assert "certificate" in pawl("runs", "list", "--data", one.data, status=7).stderr
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def test_an_answer_before_the_body_was_taken(authority, tmp_path):
    """A server that refuses early and reads no further is understood, not waited for."""
    cert, key = make_certificate(tmp_path, "early", "DNS:localhost", authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    done = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with context.wrap_socket(listener.accept()[0], server_side=True) as peer:
            peer.recv(1000)
            body = b'{"code": "PAYLOAD_TOO_LARGE", "message": "no more than that", "details": null}'
            peer.sendall(b"HTTP/1.1 413 Payload Too Large\r\nContent-Type: application/json\r\nContent-Length: "
                         + str(len(body)).encode() + b"\r\n\r\n" + body)
            done.wait(PATIENCE)

    thread = threading.Thread(target=serve)
    thread.start()
    (tmp_path / "big.yaml").write_text(dag(*({"id": f"t{i}", "command": "x" * 1000} for i in range(20000)), name="b"))
    said = pawl("dags", "apply", str(tmp_path / "big.yaml"), "--server", f"https://localhost:"
                f"{listener.getsockname()[1]}", "--ca-file", authority[0], status=2).stderr
    done.set()
    thread.join()
    listener.close()
    assert "no more than that" in said


def test_a_token_sent_in_the_clear_is_said(make_daemon, tmp_path):
    one = make_daemon("--allow-plain-http")
    one.spawn("--listen", "0.0.0.0:0")
    one.port = int(one.read_line().rsplit(":", 1)[1])
    token = token_of(one, "viewer")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address = probe.getsockname()[0]
    said = pawl("runs", "list", "--server", f"http://{address}:{one.port}", env={"PAWL_TOKEN": token}).stderr
    assert "unencrypted" in said and token not in said
    assert pawl("runs", "list", "--server", f"http://127.0.0.1:{one.port}", env={"PAWL_TOKEN": token}).stderr == ""


def greeting(port):
    """The SHA-256 of the certificate that a new connection is greeted with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain) as peer:
        return hashlib.sha256(peer.getpeercert(binary_form=True)).hexdigest()


def place(source, target, mode=0o600):
    with open(source, "rb") as file:
        content = file.read()
    with open(f"{target}.new", "wb") as file:
        file.write(content)
    os.chmod(f"{target}.new", mode)
    os.rename(f"{target}.new", target)


def test_a_renewed_certificate_is_taken_by_a_signal(secure, authority, tmp_path):
    cert, key = str(tmp_path / "server.pem"), str(tmp_path / "server.key")
    fresh = make_certificate(tmp_path, "fresh", "DNS:localhost,IP:127.0.0.1", authority)
    first = greeting(secure.port)
    token = token_of(secure)
    open_before = http.client.HTTPSConnection("127.0.0.1", secure.port, timeout=PATIENCE,
                                              context=ssl.create_default_context(cafile=authority[0]))
    events = http.client.HTTPSConnection("127.0.0.1", secure.port, timeout=PATIENCE,
                                         context=ssl.create_default_context(cafile=authority[0]))

    def ask(connection, path):
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse()

    def hup(word, times):
        secure.signal(signal.SIGHUP)
        eventually(lambda: secure.log().count(word) == times, f"'{word}' in the log, {times} times")

    assert ask(open_before, "/api/v1/workers").read()
    stream = ask(events, "/api/v1/events")
    assert stream.status == 200
    address = os.path.join(secure.data, "address")

    # half of a renewal: the new certificate lies there, its key does not yet
    place(fresh[0], cert, 0o644)
    hup("the certificate stays as it was", 1)
    assert greeting(secure.port) == first and first in open(address, encoding="utf-8").read()
    place(fresh[1], key)
    hup("greeted with another certificate", 1)
    second = greeting(secure.port)
    assert second != first and second in secure.log()
    text = open(address, encoding="utf-8").read()
    assert f"pin={second}\n" in text and first not in text and os.stat(address).st_mode & 0o777 == 0o600
    pawl("runs", "list", "--data", secure.data)
    pawl("runs", "list", env={"PAWL_SERVER": f"https://localhost:{secure.port}", "PAWL_CA_FILE": authority[0],
                              "PAWL_TOKEN": token})

    # what was open goes on, on both connections
    sock = open_before.sock
    assert ask(open_before, "/api/v1/workers").read() and open_before.sock is sock
    (tmp_path / "d.yaml").write_text(dag({"id": "a", "command": "true"}, name="later"))
    pawl("dags", "apply", str(tmp_path / "d.yaml"), "--data", secure.data)
    pawl("trigger", "later", "--wait", "--data", secure.data)
    assert any(b"succeeded" in stream.readline() for _ in range(200))

    # nothing new: nothing is said; what cannot be used changes nothing
    hup("the settings were read again", 3)
    assert secure.log().count("greeted with another certificate") == 1
    for times, (source, target, mode) in enumerate(((authority[1], key, 0o600), (fresh[1], key, 0o644)), 2):
        place(source, target, mode)
        hup("the certificate stays as it was", times)
        assert greeting(secure.port) == second
    os.remove(key)
    hup("the certificate stays as it was", 4)
    assert greeting(secure.port) == second
    pawl("runs", "list", "--data", secure.data)
    open_before.close()
    events.close()


def test_tls_does_not_come_or_go_by_a_signal(make_daemon, tmp_path):
    cert, key = make_certificate(tmp_path, "server", "DNS:localhost")
    path = tmp_path / "config"
    path.write_text("")
    one = make_daemon()
    one.start("--config", str(path))
    path.write_text(f"tls-cert = {cert}\ntls-key = {key}\n")
    one.signal(signal.SIGHUP)
    eventually(lambda: "TLS on or off takes a restart" in one.log(), "a word about TLS")
    assert one.get("/api/v1/workers").status == 200
