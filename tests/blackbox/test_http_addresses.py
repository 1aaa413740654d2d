"""http tasks and the addresses they may reach, with the real program: every way to write the machine's own address, names,
redirects. What is refused is never connected to."""
import itertools
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support import dag, tasks_by_id

numbers = itertools.count()


class Target:
    """A server that counts who connects and sends elsewhere who asks for it."""

    def __init__(self, address="127.0.0.1"):
        self.connections = 0
        target = self

        class Handler(BaseHTTPRequestHandler):
            def setup(self):
                target.connections += 1
                super().setup()

            def do_GET(self):
                self.send_response(302 if self.path.startswith("/to/") else 200)
                if self.path.startswith("/to/"):
                    self.send_header("Location", self.path[4:])
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer((address, 0), Handler)
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def target():
    one = Target()
    yield one
    one.close()


def execute(daemon, *urls, follow=0):
    tasks = [{"id": f"t{i:02}", "type": "http", "url": url, "follow": follow} for i, url in enumerate(urls)]
    run = daemon.execute(f"http-{next(numbers)}", dag(*tasks))
    by_id = tasks_by_id(run)
    return [by_id[task["id"]] for task in tasks]


def test_every_way_to_write_a_private_address(make_daemon, target):
    """ssrf-address-forms"""
    daemon = make_daemon("--http-deny-private").start()
    forms = ["127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001",
             "127.0.0.1.", "127.0.0.2", "0", "0.0.0.0", "localhost", "LOCALHOST", "localhost.", "[::1]", "[0:0:0:0:0:0:0:1]",
             "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[fe80::1%25lo]",
             "[::ffff:169.254.169.254]", "169.254.169.254", "[fd00:ec2::254]", "10.0.0.1", "192.168.0.1", "172.16.0.1",
             "%31%32%37.0.0.1", "user:pass@127.0.0.1", "example.org@127.0.0.1"]
    for form, task in zip(forms, execute(daemon, *(f"http://{form}:{target.port}/" for form in forms))):
        assert task["state"] == "failed" and task["errorType"] == "http" and task["attempt"] == 1, (form, task)
        # what the machine's resolver does not know it does not find; everything else is refused by its number
        if form not in ("localhost.", "127.0.0.1.", "[fe80::1%25lo]", "[64:ff9b::127.0.0.1]", "[::127.0.0.1]"):
            assert "not public" in task["error"], (form, task["error"])
    assert target.connections == 0


def test_a_redirect_to_a_private_address(make_daemon, target):
    """ssrf-redirect"""
    daemon = make_daemon("--http-deny-private", "--http-allow-network", "127.0.0.1/32").start()
    here, there = f"http://127.0.0.1:{target.port}", f"http://127.0.0.2:{target.port}/"
    direct, once, twice, named, metadata = execute(
        daemon, here + "/", f"{here}/to/{there}", f"{here}/to/{here}/to/{there}", f"{here}/to/http://[::1]:{target.port}/",
        f"{here}/to/http://169.254.169.254/latest/meta-data/", follow=3)
    assert direct["state"] == "succeeded"
    for task in (once, twice, named, metadata):
        assert task["state"] == "failed" and "not public" in task["error"], task
    assert target.connections == 5 + 1 or target.connections == 5  # the second hop may use the connection again


def test_a_name_is_judged_by_its_address(make_daemon, target):
    """dns-rebinding-of-http-tasks: the check is made on the number that is connected to, so a name that resolves to
    something else the second time gains nothing."""
    daemon = make_daemon("--http-deny-private").start()
    task, = execute(daemon, f"http://localhost:{target.port}/")
    assert "not public" in task["error"] and target.connections == 0
    allowed = make_daemon("--http-deny-private", "--http-allow-network", "127.0.0.0/8").start()
    task, = execute(allowed, f"http://localhost:{target.port}/")
    assert task["state"] == "succeeded" and target.connections == 1


def test_without_the_setting_all_are_reached(daemon, target):
    task, = execute(daemon, f"http://127.0.0.1:{target.port}/")
    assert task["state"] == "succeeded"


@pytest.mark.parametrize("scheme", ["file", "ftp", "gopher", "dict", "ldap", "smb", "tftp", "telnet", "scp", "imap",
                                    "ws", "FILE"])
def test_other_schemes(shared, scheme):
    """ssrf-schemes"""
    url = f"{scheme}://127.0.0.1/etc/passwd"
    refused = shared.post("/api/v1/dags", {"name": "s", "yaml": dag({"id": "a", "type": "http", "url": url})}, 400)
    assert "Invalid URL" in refused.text
    run = shared.execute(f"http-{next(numbers)}", dag({"id": "a", "type": "http", "url": "${env.URL}",
                                                       "env": {"URL": url}}))
    task, = run["tasks"]
    assert task["state"] == "failed" and task["attempt"] == 1
    log = shared.get(f"/api/v1/task-instances/{task['taskInstanceId']}/log")
    assert "root:" not in log.text


def test_connections_are_used_again(make_daemon, target):
    """Bursts of requests with nothing between them: as many connections as there are slots."""
    target.server.RequestHandlerClass.protocol_version = "HTTP/1.1"
    daemon = make_daemon("--workers", "1", "--slots", "16").start()
    tasks = [{"id": f"t{i}", "type": "http", "url": f"http://127.0.0.1:{target.port}/"} for i in range(160)]
    for i, task in enumerate(tasks):
        task["dependencies"] = [f"t{k}" for k in range(i // 16 * 16 - 16, i // 16 * 16) if k >= 0]
    assert daemon.execute("bursts", dag(*tasks))["counts"]["succeeded"] == 160
    assert target.connections <= 16
