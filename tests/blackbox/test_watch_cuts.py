"""`pawl runs watch` when the server goes away in the middle of any of its answers."""
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
                    client.sendall(server.recv(self.kept, socket.MSG_WAITALL) if self.kept else b"")
                    return
                if not self._answer(client, server, b"/events" in request.split(b"\r\n")[0]):
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


@pytest.mark.parametrize("kept", [0, 20])
@pytest.mark.parametrize("options", [[], ["-o", "json"]])
def test_an_answer_that_is_cut_off_is_asked_for_again(shared, tmp_path, options, kept):
    """Each of them, the first too, until none is left."""
    pawl = Shell(tmp_path)
    run = shared.execute(f"watched-{uuid.uuid4()}", dag({"id": "a", "command": "echo hello"}))["runId"]
    whole = pawl("runs", "watch", run[-12:], *options, "--server", f"http://127.0.0.1:{shared.port}", status=0)
    assert "succeeded: 1 succeeded" in whole.stdout + whole.stderr
    at = 0
    while True:
        at += 1
        with Cutting(shared.port, at, kept) as way:
            done = pawl("runs", "watch", run[-12:], *options, "--server", way.url, status=0)
            assert (done.stdout, done.stderr) == (whole.stdout, whole.stderr), f"request {at}"
            if way.requests < at:
                break
    assert at > 3
