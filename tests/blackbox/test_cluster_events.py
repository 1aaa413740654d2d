"""Events of runs on other nodes, in the streams of any node: complete, in order, or said to be incomplete (`reset`)."""
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support import dag, eventually, source_root
from test_cluster_reads import LEASE_S

sys.path.insert(0, str(Path(source_root()) / "tests" / "cluster"))
from wire import Arm, Wire  # noqa: E402

DONE = ("succeeded", "failed", "canceled")
CHAIN = [{"id": "a", "name": 'é"\\', "command": "true"}, {"id": "b", "command": "exit 3", "dependencies": ["a"]},
         {"id": "c", "command": "true", "dependencies": ["b"]}]


@pytest.fixture
def wire():
    made = Wire()
    yield made
    made.close()


@pytest.fixture
def nodes(postgres, make_daemon):
    """nodes(2): so many on a new database, started; each has heard of the others."""
    def make(count, *options, urls=None):
        urls = urls or [postgres.database()] * count
        made = [make_daemon("--store", url, "--lease", f"{LEASE_S}s", "--workers", "1", *options).start()
                for url in urls]
        streams = [one.events() for one in made]
        for i, one in enumerate(made):
            run = one.start_run(f"hello{i}", dag({"id": "a", "command": "true"}, placement="node"))
            for stream in streams:
                stream.wait_for(is_end_of(run))
        for stream in streams:
            stream.close()
        return made
    return make


def through(wire, postgres, url):
    link = wire.link("127.0.0.1", os.path.join(postgres.folder, ".s.PGSQL.5432"), 1)
    name = url.split("/")[3].split("?")[0]
    return link, f"postgresql://pawl@127.0.0.1:{link.port}/{name}?sslmode=disable&gssencmode=disable"


def is_end_of(run):
    return lambda event: event.name == "run" and event.data["runId"] == run and event.data["state"] in DONE


def story(stream, run):
    """What a stream tells of a run, to its end."""
    told = []
    for event in stream:
        assert event.name != "reset"
        if event.data.get("runId") == run:
            told.append((event.name, event.data))
        if is_end_of(run)(event):
            return told
    raise AssertionError("the stream ended before the run did")


def test_all_nodes_tell_the_same(nodes):
    one, two, three = nodes(3)
    with one.events() as first, two.events() as second, three.events() as third:
        run = one.start_run("chain", dag(*CHAIN, placement="node"))
        own = story(first, run)
        assert [name for name, _ in own][0] == "run" and own[-1][1]["state"] == "failed"
        assert {data["taskId"] for name, data in own if name == "task"} == {"a", "b", "c"}
        assert story(second, run) == own == story(third, run)
        again = three.start_run("again", dag(*CHAIN, placement="node"))
        assert story(first, again) == story(second, again) == story(third, again)


def test_workers_of_other_nodes_are_told(nodes):
    one, two = nodes(2)
    worker = one.workers()[0]["id"]
    with two.events() as stream:
        one.post(f"/api/v1/workers/{worker}/drain", None, 204)
        event = stream.wait_for(lambda e: e.name == "worker" and e.data["id"] == worker)
        assert event.data["status"] == "draining"


def test_the_stream_of_a_run_on_another_node(nodes, gate):
    one, two = nodes(2)
    gate = gate()
    run = one.start_run("waits", dag({"id": "a", "command": gate.command()}, placement="node"))
    gate.wait_arrival()
    with two.events(run) as stream:
        events = iter(stream)
        first = next(events)
        assert (first.name, first.data["state"], first.data["runId"]) == ("run", "running", run)
        gate.open()
        rest = list(events)
    # what happened just before the look may be told behind it
    assert [(event.name, event.data["state"]) for event in rest[-2:]] == [("task", "succeeded"), ("run", "succeeded")]
    with two.events(run, last_id=rest[-2].id) as stream:
        assert [(event.id, event.data) for event in stream] == [(rest[-1].id, rest[-1].data)]


def test_a_stream_goes_on_where_it_was(nodes):
    one, two = nodes(2)
    with two.events() as stream:
        run = one.start_run("chain", dag(*CHAIN))
        begun = stream.wait_for(lambda e: e.name == "run" and e.data["runId"] == run)
    stop = two.start_run("stop", dag({"id": "a", "command": "true"}))
    two.wait_run(stop)
    one.wait_run(run)
    with two.events(last_id=begun.id) as stream:
        assert story(stream, run)[-1][1]["state"] == "failed"
    with one.events(last_id=begun.id) as stream:
        assert next(iter(stream)).name == "reset", "ids of another node are not known"


@contextlib.contextmanager
def listening(postgres, url):
    """Somebody else who hears the words about events: a function that gives how many came since it was called last."""
    with subprocess.Popen([os.path.join(postgres.bin, "psql"), "-XAtq", url], user=postgres.user, cwd=postgres.folder,
                          extra_groups=[] if postgres.user else None, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as psql:
        def count():
            psql.stdin.write("SELECT 'there';\nSELECT 'over';\n")
            psql.stdin.flush()
            words = 0
            while (line := psql.stdout.readline().strip()) != "over":
                words += line.startswith("Asynchronous notification")
            return words
        psql.stdin.write("LISTEN pawl_events;\n")
        count()
        yield count
        psql.stdin.close()
        psql.wait()


def test_nothing_is_said_while_nobody_listens(postgres, make_daemon):
    url = postgres.database()
    one, two = [make_daemon("--store", url, "--lease", f"{LEASE_S}s", "--workers", "1").start() for _ in range(2)]
    with listening(postgres, url) as count:
        one.execute("chain", dag(*CHAIN))
        assert count() == 0
        with two.events() as stream:
            run = one.start_run("again", dag(*CHAIN, placement="node"))
            stream.wait_for(is_end_of(run))
        assert count() > 0


def test_long_events_come_in_pieces(nodes):
    """Words are bounded; what is longer, and characters of several bytes, are put together again."""
    one, two = nodes(2)
    tasks = [{"id": f"t{i}", "name": "é" * (100 + i), "command": "false" if i == 0 else "true",
              "dependencies": ["t0"] if i else []} for i in range(300)]
    with one.events() as own, two.events() as stream:
        run = one.start_run("wide", dag(*tasks, placement="node"))
        assert story(stream, run) == story(own, run)


def test_too_much_is_one_reset(nodes):
    one, two = nodes(2)
    tasks = [{"id": f"t{i}", "name": "x" * 900, "command": "false" if i == 0 else "true",
              "dependencies": ["t0"] if i else []} for i in range(4000)]
    with two.events() as stream:
        run = one.start_run("wide", dag(*tasks, placement="node"))
        stream.wait_for(lambda e: e.name == "reset")
        assert two.run(run)["state"] == "failed"
        after = one.start_run("after", dag(*CHAIN, placement="node"))
        stream.wait_for(is_end_of(after))


def test_a_node_that_is_gone_leaves_a_reset(nodes, gate):
    one, two = nodes(2)
    gate = gate()
    with two.events() as stream:
        run = one.start_run("waits", dag({"id": "a", "command": gate.command()}, placement="node"))
        gate.wait_arrival()
        one.kill()
        stream.wait_for(lambda e: e.name == "reset")
        gate.wait_arrival()
        gate.open()
        stream.wait_for(is_end_of(run))
        one.start()
        stream.wait_for(lambda e: e.name == "reset")
        again = one.start_run("again", dag(*CHAIN, placement="node"))
        stream.wait_for(is_end_of(again))


@pytest.mark.parametrize("who", ["teller", "listener"])
@pytest.mark.parametrize("after", [False, True])
def test_words_that_are_lost_leave_a_reset(postgres, wire, nodes, who, after):
    url = postgres.database()
    link, broken = through(wire, postgres, url)
    one, two = nodes(2, urls=[broken, url] if who == "teller" else [url, broken])
    with two.events() as stream:
        run = one.start_run("before", dag(*CHAIN, placement="node"))
        stream.wait_for(is_end_of(run))
        met = []
        link.arms.append(Arm("tell" if who == "teller" else "renew", 1, after, met.append))
        chain = one.create("chain", dag(*CHAIN))["id"]
        eventually(lambda: one.wait_run(one.trigger(chain)) and met, "the connection breaks")
        stream.wait_for(lambda e: e.name == "reset")
        run = one.start_run("after", dag(*CHAIN, placement="node"))
        stream.wait_for(is_end_of(run))


def test_a_run_that_leaves_ends_its_stream(nodes, gate):
    """Of a run that has not begun and goes where a slot is free, the node that it left tells no more."""
    one, two = nodes(2, "--slots", "1")
    gates = [gate("first"), gate("second"), gate("third")]
    wait = [one.create(f"waits{i}", dag({"id": "a", "command": gate.command()}, placement="node"))["id"]
            for i, gate in enumerate(gates)]
    theirs = two.trigger(wait[1])
    gates[1].wait_arrival()
    ours = one.trigger(wait[0])
    gates[0].wait_arrival()
    nothing = one.create("nothing", dag({"id": "a", "command": "true"}, placement="node"))["id"]
    ahead = [one.trigger(nothing) for _ in range(2)]    # claimed, so that they stay
    third = one.trigger(wait[2])
    with one.events(third) as stream:
        events = iter(stream)
        assert next(events).data["state"] in ("pending", "running")
        gates[1].open()
        gates[2].wait_arrival()
        assert {event.data["state"] for event in events} <= {"pending", "queued"}, "nothing more is known there"
    with one.events(third) as stream:
        assert next(iter(stream)).data["state"] == "running"
        gates[2].open()
        stream.wait_for(is_end_of(third))
    gates[0].open()
    assert {one.wait_run(run)["state"] for run in (ours, theirs, *ahead)} == {"succeeded"}
    assert json.dumps(one.run(third)) == json.dumps(two.run(third))


def test_streams_that_wait_for_a_silent_node_cost_no_thread(postgres, make_daemon, gate):
    """Others are answered before them, through the only thread there is."""
    options = "--store", postgres.database(), "--lease", "30s", "--workers", "1"
    one = make_daemon(*options, "--slots", "1", "--http-threads", "1").start()
    two = make_daemon(*options, "--slots", "2").start()
    gates = [gate("own"), gate("theirs"), gate("far")]
    own = one.create("lends", dag(*[{"id": g, "command": gates[i].command()} for i, g in enumerate("ab")],
                                  placement="any"))["id"]
    runs = [one.trigger(own)]
    for g in gates[:2]:
        g.wait_arrival()    # the second one over there: that node is known
    runs.append(two.start_run("waits", dag({"id": "a", "command": gates[2].command()}, placement="node")))
    gates[2].wait_arrival()
    two.signal(signal.SIGSTOP)

    def is_answered_before(target):
        with contextlib.ExitStack() as stack:
            sleepers = [stack.enter_context(socket.create_connection(("127.0.0.1", one.port))) for _ in range(8)]
            for sleeper in sleepers:
                sleeper.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            one.get("/live")
            answered, _, _ = select.select(sleepers, [], [], 0)
            for sleeper in sleepers:
                assert sleeper.recv(12) == b"HTTP/1.1 200"
            return not answered
    try:
        for target in ("/api/v1/events", f"/api/v1/runs/{runs[1]}/events"):
            assert any(is_answered_before(target) for _ in range(5)), target
    finally:
        two.signal(signal.SIGCONT)
    for g in gates:
        g.open()
    assert [one.wait_run(run)["state"] for run in runs] == ["succeeded"] * 2
