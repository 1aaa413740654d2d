"""Many clients at once: nothing is lost, every answer is right."""
import asyncio
import collections
import contextlib
import json
import os
import resource
import signal
import socket

import pytest
from support import Deadline, PATIENCE, TERMINAL_RUN, dag, eventually, process_state

CLIENTS = int(os.environ.get("PAWL_LOAD_CLIENTS", "1000"))


async def open_client(port):
    for _ in range(200):
        try:
            return await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
        except ConnectionError:
            await asyncio.sleep(0)
    raise AssertionError("no connection")


async def ask(streams, method, target, body=None):
    reader, writer = streams
    payload = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n"
    writer.write(head.encode() + b"\r\n" + payload)
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    length = next((int(line.split(":")[1]) for line in head if line.lower().startswith("content-length:")), 0)
    raw = await reader.readexactly(length)
    return int(head[0].split()[1]), json.loads(raw) if raw else None


def many(port, count, work):
    """work(i, streams) for each of `count` clients, all connected before the first asks."""
    async def run():
        gathered = [await open_client(port) for _ in range(count)]
        try:
            return await asyncio.wait_for(asyncio.gather(*[work(i, gathered[i]) for i in range(count)]), PATIENCE * 3)
        finally:
            for _, writer in gathered:
                writer.close()
    return asyncio.run(run())


@pytest.fixture
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CLIENTS * 2 + 500
    if hard < wanted:
        pytest.skip(f"{CLIENTS} clients need {wanted} descriptors, the limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def runs_of(daemon):
    """All runs there are, page by page."""
    found, before = [], ""
    while page := daemon.get("/api/v1/runs?limit=1000" + before).json:
        found += page
        before = f"&before={page[-1]['runId']}"
    return found


def wait_all(daemon, run_ids):
    left, deadline = set(run_ids), Deadline(PATIENCE * 3)
    with daemon.events() as stream:
        left -= {run["runId"] for run in runs_of(daemon) if run["state"] in TERMINAL_RUN}
        for event in stream if left else ():
            assert event.name != "reset", "events were lost though the test reads all the time"
            if event.name == "run" and event.data["state"] in TERMINAL_RUN:
                left.discard(event.data["runId"])
            if not left:
                break
            assert not deadline.passed(), f"{len(left)} runs do not end"


def test_ten_clients(shared):
    """Ten clients, each with DAGs of its own, through their whole life."""
    yaml = dag({"id": "a", "command": "true"}, {"id": "b", "command": "true", "dependencies": ["a"]})

    async def work(i, streams):
        made = []
        for n in range(5):
            status, one = await ask(streams, "POST", "/api/v1/dags", {"name": f"load-{i}-{n}", "yaml": yaml})
            assert status == 201 and one["name"] == f"load-{i}-{n}"
            runs = []
            for _ in range(4):
                status, run = await ask(streams, "POST", f"/api/v1/dags/{one['id']}/runs")
                assert status == 202 and run["dagId"] == one["id"]
                runs.append(run["runId"])
            status, listed = await ask(streams, "GET", f"/api/v1/dags/{one['id']}/runs")
            assert status == 200 and [run["runId"] for run in listed] == runs[::-1]
            made += runs
        return made

    ids = [run_id for runs in many(shared.port, 10, work) for run_id in runs]
    assert len(set(ids)) == 200
    wait_all(shared, ids)
    states = collections.Counter(run["state"] for run in runs_of(shared) if run["runId"] in set(ids))
    assert states == {"succeeded": 200}


def test_one_name_for_all(shared):
    """Of many clients that make a DAG of one name, one succeeds."""
    async def work(_, streams):
        return (await ask(streams, "POST", "/api/v1/dags",
                          {"name": "contested", "yaml": dag({"id": "a", "command": "true"})}))[0]

    assert sorted(many(shared.port, 50, work)) == [201] + [409] * 49


@pytest.mark.load
def test_a_thousand_clients(make_daemon, many_files):
    """All connected, all make a DAG and trigger it twice, all at once. What was acknowledged is there and runs."""
    daemon = make_daemon().start()
    yaml = dag({"id": "a", "command": "true"})

    async def work(i, streams):
        status, one = await ask(streams, "POST", "/api/v1/dags", {"name": f"many-{i}", "yaml": yaml})
        assert status == 201 and one["name"] == f"many-{i}", one
        runs = []
        for _ in range(2):
            status, run = await ask(streams, "POST", f"/api/v1/dags/{one['id']}/runs")
            assert status == 202 and run["dagId"] == one["id"], run
            runs.append(run["runId"])
        status, back = await ask(streams, "GET", f"/api/v1/runs/{runs[0]}")
        assert status == 200 and back["runId"] == runs[0] and back["dagId"] == one["id"]
        return one["id"], runs

    answers = many(daemon.port, CLIENTS, work)
    ids = [run_id for _, runs in answers for run_id in runs]
    assert len(set(ids)) == 2 * CLIENTS and len({one for one, _ in answers}) == CLIENTS
    wait_all(daemon, ids)
    found = runs_of(daemon)
    assert sorted(run["runId"] for run in found) == sorted(ids)
    assert collections.Counter(run["state"] for run in found) == {"succeeded": 2 * CLIENTS}
    assert daemon.get("/api/v1/dlq/stats").json["total"] == 0


def test_a_large_dag(shared):
    """10,000 tasks in layers: each layer after the one before."""
    tasks = [{"id": f"t{i}", "command": "true", "dependencies": [f"t{i - 1000}"] if i >= 1000 else []}
             for i in range(int(os.environ.get("PAWL_LARGE_TASKS", "3000")))]
    run = shared.execute("large", dag(*tasks))
    assert run["state"] == "succeeded" and run["counts"]["succeeded"] == len(tasks)
    by_id = {task["taskId"]: task for task in run["tasks"]}
    assert all(by_id[need]["completedAt"] <= by_id[task["id"]]["startedAt"]
               for task in tasks for need in task["dependencies"])


def connections_by_loop(daemon, sockets):
    """The sockets in groups: those that one thread of the daemon waits for. By what each epoll of it watches."""
    pid, inode_of_port = daemon.pid, {}
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table.readlines()[1:]:
            fields = line.split()
            if int(fields[1].split(":")[1], 16) == daemon.port:
                inode_of_port[int(fields[2].split(":")[1], 16)] = fields[9]  # by the client's port
    watched_by = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        if os.readlink(f"/proc/{pid}/fd/{fd}") != "anon_inode:[eventpoll]":
            continue
        with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as info:
            for line in info:
                if line.startswith("tfd:"):
                    target = os.readlink(f"/proc/{pid}/fd/{line.split()[1]}")
                    watched_by[target] = fd
    loops = collections.defaultdict(list)
    for one in sockets:
        inode = inode_of_port[one.getsockname()[1]]
        loops[watched_by[f"socket:[{inode}]"]].append(one)
    return list(loops.values())


@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_as_many_requests_at_once_as_a_thread_looks_at(daemon, beyond):
    """libmicrohttpd takes 128 events from the kernel; after a full load it looks again, and does not answer before."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_connection(("127.0.0.1", daemon.port))) for _ in range(400)]
        request = b"HEAD /ready HTTP/1.1\r\nHost: localhost\r\n\r\n"

        def answered(one):
            one.settimeout(PATIENCE)
            got, more = b"", one.recv(4096)
            while more and b"\r\n\r\n" not in got + more:
                got, more = got + more, one.recv(4096)
            return (got + more)[9:12]

        for one in sockets:
            one.sendall(request)
            assert answered(one) == b"200"
        full = [loop for loop in connections_by_loop(daemon, sockets) if len(loop) > 128]
        assert full, "no thread has so many"
        daemon.signal(signal.SIGSTOP)
        eventually(lambda: process_state(daemon.pid) == "T", "the daemon stops")
        for one in full[0][:128 + beyond]:
            one.sendall(request)
        daemon.signal(signal.SIGCONT)
        assert all(answered(one) == b"200" for one in full[0][:128 + beyond])
