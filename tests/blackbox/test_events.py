"""Event streams."""
import re
import socket
import uuid

from support import EventStream, TERMINAL_RUN, dag, eventually


def fresh(name="events"):
    return f"{name}-{uuid.uuid4()}"


TWO = dag({"id": "a", "command": "true"}, {"id": "b", "command": "true", "dependencies": ["a"]})


def read_run(stream):
    """All events of a run's stream, which ends by itself."""
    return list(stream)


def test_a_runs_stream_tells_its_life(shared, gate):
    waits = gate()
    run_id = shared.start_run(fresh(), dag({"id": "a", "command": waits.command()},
                                           {"id": "b", "command": "false", "dependencies": ["a"]},
                                           {"id": "c", "command": "true", "dependencies": ["b"]}))
    waits.wait_arrival()
    with shared.events(run_id) as stream:
        assert stream.reply.getheader("Content-Type") == "text/event-stream"
        waits.open()
        events = read_run(stream)
    assert (events[0].name, events[0].data["state"]) == ("run", "running")
    assert (events[-1].name, events[-1].data["state"]) == ("run", "failed")
    assert all(event.data["runId"] == run_id for event in events)
    ends = {}
    for event in events:
        if event.name == "task":
            ends[event.data["taskId"]] = event.data["state"]
    assert ends == {"a": "succeeded", "b": "failed", "c": "skipped"}


def test_data_has_the_shapes_of_get(shared):
    run = None
    with shared.events() as stream:
        run_id = shared.start_run(fresh(), TWO)
        last = {}
        for event in stream:
            if event.data.get("runId") != run_id:
                continue
            last[event.name, event.data.get("taskId")] = event.data
            if event.name == "run" and event.data["state"] in TERMINAL_RUN:
                break
        run = shared.run(run_id)
    assert last["run", None] == {key: run[key] for key in last["run", None]}
    listed = shared.get(f"/api/v1/runs?dagId={run['dagId']}").json[0]
    assert last["run", None] == listed
    for task in run["tasks"]:
        assert last["task", task["taskId"]] == dict(task, runId=run_id)


def test_ids_grow_and_resume(shared):
    with shared.events() as stream:
        run_id = shared.start_run(fresh(), TWO)
        events = []
        for event in stream:
            events.append(event)
            if event.name == "run" and event.data["runId"] == run_id and event.data["state"] in TERMINAL_RUN:
                break
    assert all(re.fullmatch(r"\d+-\d+", event.id) for event in events)
    numbers = [int(event.id.split("-")[1]) for event in events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len({event.id.split("-")[0] for event in events}) == 1
    for at in (0, len(events) // 2, len(events) - 2):
        with shared.events(last_id=events[at].id) as stream:
            again = [event for _, event in zip(events[at + 1:], stream)]
        assert [(e.name, e.id, e.data) for e in again] == [(e.name, e.id, e.data) for e in events[at + 1:]]
    with shared.events(run_id, last_id=events[0].id) as stream:
        mine = [e for e in events[1:] if e.data.get("runId") == run_id]
        assert [(e.id, e.data) for e in stream] == [(e.id, e.data) for e in mine]


def test_a_break_before_the_first_event_loses_nothing(shared):
    stream = shared.events()
    assert stream.reply.readline() == b"retry: 2000\n"
    last_id = stream.reply.readline().decode().removeprefix("id: ").strip()
    stream.close()
    run_id = shared.start_run(fresh(), TWO)
    shared.wait_run(run_id)
    with shared.events(last_id=last_id) as again:
        first = again.wait_for(lambda e: e.name != "worker")
    assert (first.name, first.data["runId"], first.data["state"]) == ("run", run_id, "pending")


def test_strange_ids_give_a_reset(shared):
    run_id = shared.start_run(fresh(), TWO)
    shared.wait_run(run_id)
    for last_id in ("1-1", "x", "0", "9" * 100, "-", "1-1-1"):
        with shared.events(last_id=last_id) as stream:
            first = next(iter(stream))
            assert (first.name, first.data) == ("reset", {})
        with shared.events(run_id, last_id=last_id) as stream:
            names = [(event.name, event.data.get("state")) for event in stream]
        assert names == [("reset", None), ("run", "succeeded")]


def test_ids_of_the_daemon_before_give_a_reset(make_daemon):
    daemon = make_daemon().start()
    with daemon.events() as stream:
        run_id = daemon.start_run("before", TWO)
        last = stream.wait_for(lambda e: e.name == "run" and e.data["state"] == "succeeded")
    daemon.stop()
    daemon.start()
    with daemon.events(last_id=last.id) as stream:
        assert next(iter(stream)).name == "reset"
    with daemon.events(run_id) as stream:
        assert [(e.name, e.data["state"]) for e in stream] == [("run", "succeeded")]


def test_an_id_that_is_too_old_gives_a_reset(make_daemon):
    """More events than the ring keeps (10,000)."""
    daemon = make_daemon().start()
    with daemon.events() as stream:
        old = next(iter_ids(stream))
        wide = daemon.create("wide", dag(*[{"id": f"t{i}", "command": "false"} for i in range(10)],
                                         *[{"id": f"s{i}", "command": "true", "dependencies": [f"t{i % 10}"]}
                                           for i in range(6000)]))["id"]
        for _ in range(2):
            daemon.wait_run(daemon.trigger(wide))
    with daemon.events(last_id=old) as stream:
        assert next(iter(stream)).name == "reset"


def iter_ids(stream):
    """The id of the stream's beginning."""
    while True:
        line = stream.reply.readline()
        if line.startswith(b"id: "):
            yield line.decode().removeprefix("id: ").strip()


def test_a_run_that_is_not_there(shared):
    answer = shared.send("GET", f"/api/v1/runs/{uuid.uuid4()}/events")
    assert answer.status == 404 and answer.code == "RUN_NOT_FOUND"


def test_streams_of_other_runs_stay_silent(shared, gate):
    waits = gate()
    run_id = shared.start_run(fresh(), dag({"id": "a", "command": waits.command()}))
    waits.wait_arrival()
    with shared.events(run_id) as stream:
        for _ in range(3):
            shared.execute(fresh(), TWO)
        waits.open()
        assert {event.data["runId"] for event in stream} == {run_id}


def test_workers_are_told_of(make_daemon):
    daemon = make_daemon("--workers", "1").start()
    worker = daemon.workers()[0]
    with daemon.events() as stream:
        daemon.post(f"/api/v1/workers/{worker['id']}/drain", None, 204)
        event = stream.wait_for(lambda e: e.name == "worker" and e.data["status"] == "draining")
    eventually(lambda: event.data == daemon.workers()[0], "GET says the same")


def test_slow_readers_are_dropped_and_others_are_not(make_daemon):
    """One reader takes nothing while megabytes of events come: its place in the ring is lost, memory stays bounded."""
    daemon = make_daemon().start()
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=60) as slow:
        slow.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        slow.recv(100)
        long_name = "x" * 900
        wide = daemon.create("wide", dag({"id": "bad", "command": "false"},
                                         *[{"id": f"s{i}", "name": long_name, "command": "true",
                                            "dependencies": ["bad"]} for i in range(4000)]))["id"]
        with daemon.events() as quick:
            for _ in range(8):
                run_id = daemon.trigger(wide)
                quick.wait_for(lambda e, r=run_id: e.name == "run" and e.data["runId"] == r
                               and e.data["state"] == "failed")
        received = b""
        while piece := slow.recv(1 << 20):
            received += piece
        assert len(received) < 24 << 20
    assert resident(daemon.pid) < 400 << 20


def resident(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as sizes:
        return int(sizes.read().split()[1]) * 4096


def test_many_listeners(make_daemon):
    """Each of many readers gets the whole story of a run; then all leave and nothing is left."""
    daemon = make_daemon().start()
    made = daemon.create("many", TWO)["id"]
    daemon.get("/live")
    before = daemon.open_files()
    streams = [daemon.events() for _ in range(200)]
    run_id = daemon.trigger(made)
    for stream in streams:
        stream.wait_for(lambda e: e.name == "run" and e.data["runId"] == run_id and e.data["state"] == "succeeded")
    for stream in streams:
        stream.close()
    # A closed connection is noticed when something is sent to it.
    eventually(lambda: daemon.trigger(made) and daemon.open_files() <= before, "listeners' descriptors are closed")


def test_streams_end_when_the_daemon_does(make_daemon):
    daemon = make_daemon().start()
    stream = daemon.events()
    assert next(iter_ids(stream))
    daemon.stop()
    assert {event.name for event in stream} <= {"worker"}
    stream.close()


def test_http_1_0_gets_a_stream_too(shared):
    run_id = shared.wait_run(shared.start_run(fresh(), TWO))["runId"]
    with socket.create_connection(("127.0.0.1", shared.port), timeout=60) as peer:
        peer.sendall(f"GET /api/v1/runs/{run_id}/events HTTP/1.0\r\n\r\n".encode())
        received = b""
        while piece := peer.recv(65536):
            received += piece
    assert b"event: run" in received and b"chunked" not in received.lower()


def test_the_beginning_of_a_run_is_told_before_its_tasks(shared):
    with EventStream(shared.port, "/api/v1/events") as stream:
        run_id = shared.start_run(fresh(), TWO)
        mine = []
        for event in stream:
            if event.data.get("runId") == run_id:
                mine.append(event)
                if event.name == "run" and event.data["state"] in TERMINAL_RUN:
                    break
    assert mine[0].name == "run" and mine[-1].name == "run" and mine[-1].data["completedAt"]
