"""`pawl runs watch` and `pawl logs -f` when the server goes away in the middle of any of its answers."""
import socket
import threading
import uuid

import pytest
from cli_support import Shell
from support import dag


class Cutting:
    """A way to a daemon on which the answer to one request, the `at`-th from 1, is cut off once: behind its first
    `kept` bytes."""

    def __init__(self, port, at, kept):
        self.port, self.at, self.kept = port, at, kept
        self.requests = 0
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client):
        with client, socket.create_connection(("127.0.0.1", self.port)) as server:
            while request := client.recv(65536):
                assert request.startswith(b"GET ") and request.endswith(b"\r\n\r\n")
                with self.lock:
                    self.requests += 1
                    cut = self.requests == self.at
                server.sendall(request)
                if cut:
                    client.sendall(server.recv(self.kept) if self.kept else b"")
                    return
                first = request.split(b"\r\n")[0]
                if not self._answer(client, server, b"/events" in first or b"follow=" in first):
                    return

    def _answer(self, client, server, to_the_end):
        """One answer of a known length, or all of a stream."""
        answer = b""
        while piece := server.recv(65536):
            client.sendall(piece)
            answer += piece
            head, end, body = answer.partition(b"\r\n\r\n")
            if end and not to_the_end:
                length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n")
                              if line.lower().startswith(b"content-length:"))
                if len(body) >= length:
                    return True
        return False


def cut_each(pawl, daemon, command, kept):
    """A command's words must be the same, whichever answer to it is cut off, until none is left to cut."""
    whole = pawl(*command, "--server", f"http://127.0.0.1:{daemon.port}", status=0)
    at = 0
    while True:
        at += 1
        with Cutting(daemon.port, at, kept) as way:
            done = pawl(*command, "--server", way.url, status=0)
            assert (done.stdout, done.stderr) == (whole.stdout, whole.stderr), f"request {at}"
            if way.requests < at:
                assert at > 2
                return whole


@pytest.mark.parametrize("kept", [0, 20, 400])
@pytest.mark.parametrize("options", [[], ["-o", "json"]])
def test_a_watch_asks_again(shared, tmp_path, options, kept):
    run = shared.execute(f"watched-{uuid.uuid4()}", dag({"id": "a", "command": "echo hello"}))["runId"]
    done = cut_each(Shell(tmp_path), shared, ["runs", "watch", run[-12:], *options], kept)
    assert "succeeded: 1 succeeded" in done.stdout + done.stderr


@pytest.mark.parametrize("kept", [0, 20, 400, 3000])
@pytest.mark.parametrize("task", [[], ["a"]])
def test_a_log_goes_on_where_it_was_cut(shared, tmp_path, task, kept):
    run = shared.execute(f"followed-{uuid.uuid4()}", dag(
        {"id": "a", "command": "seq 2000"}, {"id": "b", "command": "echo $PAWL_ATTEMPT; test $PAWL_ATTEMPT = 2",
                                             "dependencies": ["a"],
                                             "retry": {"maxAttempts": 2, "initialDelay": "1ms"}}))["runId"]
    done = cut_each(Shell(tmp_path), shared, ["logs", run, *task, "-f"], kept)
    lines = [f"{i}" if task else f"a | {i}" for i in range(1, 2001)]
    assert done.stdout.splitlines()[:2000] == lines
