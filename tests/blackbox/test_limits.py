"""What happens at the edges: full, too large, no room on the disk (G12, G13)."""
import ctypes
import os
import uuid

import pytest
from support import dag, eventually


def test_full_of_tasks(make_daemon, gate):
    daemon, waits = make_daemon("--waiting-tasks-max", "10", "--workers", "1", "--slots", "1").start(), gate()
    made = daemon.create("wide", dag(*[{"id": f"t{i}", "command": waits.command()} for i in range(6)]))["id"]
    first = daemon.trigger(made)
    waits.wait_arrival()
    refused = daemon.post(f"/api/v1/dags/{made}/runs")
    assert refused.status == 503 and refused.code == "FULL" and int(refused.headers["retry-after"]) > 0
    assert "10" in refused.json["message"]
    assert [run["runId"] for run in daemon.get("/api/v1/runs").json] == [first]
    for i in range(6):
        waits.open()
        if i < 5:
            waits.wait_arrival()
    assert daemon.wait_run(first)["state"] == "succeeded"
    second = daemon.trigger(made)
    daemon.post(f"/api/v1/runs/{second}/cancel", None, 202)
    daemon.wait_run(second)


def test_full_of_runs(make_daemon, gate):
    daemon, waits = make_daemon("--active-runs-max", "2").start(), gate()
    made = daemon.create("runs", dag({"id": "a", "command": waits.command()}))["id"]
    ids = [daemon.trigger(made) for _ in range(2)]
    assert daemon.post(f"/api/v1/dags/{made}/runs").code == "FULL"
    for _ in ids:
        waits.open()
    for run_id in ids:
        daemon.wait_run(run_id)
    waits.open()
    assert daemon.wait_run(daemon.trigger(made))["state"] == "succeeded"


def test_too_many_tasks_for_the_network(shared):
    lines = ["name: big\ntasks:\n"] + [f"- {{id: t{i}, type: shell, command: x}}\n" for i in range(100_001)]
    answer = shared.post("/api/v1/dags", {"name": "big", "yaml": "".join(lines)})
    assert answer.status == 400 and "100,000" in answer.text.replace("100000", "100,000"), answer


def test_bodies_that_are_too_large(shared):
    made = shared.create(str(uuid.uuid4()), dag({"id": "a", "command": "true"}))["id"]
    answer = shared.send("POST", f"/api/v1/dags/{made}/runs", b'{"x": "' + b"x" * (1 << 20) + b'"}',
                         {"Content-Type": "application/json"})
    assert answer.status == 413 and answer.code == "PAYLOAD_TOO_LARGE"


def test_more_connections_than_allowed(make_daemon):
    import socket
    daemon = make_daemon("--connections-max", "20").start()
    peers = [socket.create_connection(("127.0.0.1", daemon.port), timeout=30) for _ in range(40)]
    for peer in peers:
        peer.close()
    eventually(lambda: works(daemon), "connections are taken again")


def works(daemon):
    try:
        return daemon.send("GET", "/live").status == 200
    except OSError:
        return False
    except Exception as error:
        assert type(error).__module__ == "http.client", error
        return False


@pytest.fixture
def small_disk(tmp_path):
    """A tmpfs of 24 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"pawl-test", os.fsencode(folder), b"tmpfs", 0, b"size=24m"):
        pytest.skip(f"a small file system cannot be mounted: {os.strerror(ctypes.get_errno())}")
    yield folder
    libc.umount2(os.fsencode(folder), 2)


def fill(folder):
    """Takes all the room there is; gives it back by the file's removal."""
    path = os.path.join(folder, "filler")
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                pass
    return path


def test_full_disk(small_disk, make_daemon, gate):
    """Work is refused in words, completions are still recorded, and all goes on by itself once there is room."""
    daemon = make_daemon(folder=small_disk / "home")
    waits = gate()
    daemon.start()
    made = daemon.create("disk", dag({"id": "a", "command": waits.command("exit 5")}))["id"]
    run_id = daemon.trigger(made)
    waits.wait_arrival()
    filler = fill(small_disk)

    def refused():
        answer = daemon.post(f"/api/v1/dags/{made}/runs")
        if answer.status == 202:
            daemon.post(f"/api/v1/runs/{answer.json['runId']}/cancel")
            return None
        return answer

    answer = eventually(refused, "a refusal")
    assert answer.status == 503 and answer.code == "STORE_FULL", answer
    assert daemon.send("GET", "/ready").status == 503
    assert daemon.send("GET", "/health").json["components"]["store"]["room"] != "ok"
    assert daemon.get("/live").status == 200
    waits.open()
    run = daemon.wait_run(run_id)
    assert run["tasks"][0]["exitCode"] == 5
    os.unlink(filler)
    eventually(lambda: daemon.send("GET", "/ready").status == 200, "ready again")
    waits.open()
    assert daemon.wait_run(eventually(lambda: accepted(daemon, made), "a run"))["state"] == "failed"
    daemon.stop()


def accepted(daemon, made):
    answer = daemon.post(f"/api/v1/dags/{made}/runs")
    return answer.json["runId"] if answer.status == 202 else None
