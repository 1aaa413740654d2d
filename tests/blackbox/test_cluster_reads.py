"""Any node answers any call: logs that grow elsewhere, workers of other nodes, what retention leaves on each."""
import glob
import os
import urllib.parse

import pytest
from support import dag, eventually

LEASE_S = 3
DONE = ("succeeded", "failed", "canceled")


@pytest.fixture
def cluster(postgres, make_daemon):
    """cluster(2, "--slots", "1"): so many nodes on a new database, started."""
    def make(count, *options):
        url = postgres.database()
        return [make_daemon("--store", url, "--lease", f"{LEASE_S}s", "--workers", "1", *options).start()
                for _ in range(count)]
    return make


def log_target(run, task, **query):
    return f"/api/v1/runs/{run}/tasks/{task}/log?" + urllib.parse.urlencode(query)


def begin_talking(node, gate):
    """A run that has written a long log and waits at the gate, on the node it was begun on."""
    command = f"seq 1 3000; {gate.command('echo at last')}"
    run = node.start_run("talks", dag({"id": "a", "command": command}, placement="node"))
    gate.wait_arrival()
    return run, "".join(f"{i}\n" for i in range(1, 3001))


def test_the_log_of_a_running_attempt(cluster, gate):
    one, two = cluster(2)
    gate = gate()
    run, written = begin_talking(one, gate)
    eventually(lambda: one.log_of(run, "a") == written, "the log on its own node")
    assert two.log_of(run, "a") == written
    answer = two.get(log_target(run, "a", offset=10, limit=20))
    assert answer.text == written[10:30] and int(answer.headers["x-log-size"]) == len(written)
    assert two.get(log_target(run, "a", offset=1000000)).text == ""
    gate.open()
    eventually(lambda: two.run(run)["state"] in DONE, "the end")
    assert two.log_of(run, "a") == written + "at last\n" == one.log_of(run, "a")


def test_a_log_is_followed_from_afar(cluster, gate):
    one, two = cluster(2)
    gate = gate()
    run, written = begin_talking(one, gate)
    with two.client() as client:
        client.connection.request("GET", log_target(run, "a", follow="true"))
        reply = client.connection.getresponse()
        assert reply.status == 200
        assert reply.read(len(written)).decode() == written
        gate.open()
        assert reply.read().decode() == "at last\n"


def test_an_attempt_that_said_nothing_yet(cluster, gate):
    one, two = cluster(2)
    gate = gate()
    run = one.start_run("quiet", dag({"id": "a", "command": gate.command()}, placement="node"))
    gate.wait_arrival()
    answer = eventually(lambda: not_busy(two.send("GET", log_target(run, "a"))), "the log through the other node")
    assert (answer.status, answer.text) == (200, "")
    gate.open()


def not_busy(answer):
    """A node that is slow is told apart from one that is wrong: 503 says try again."""
    return None if answer.status == 503 else answer


def status_of(node, worker):
    return next(one["status"] for one in node.workers() if one["id"] == worker)


def test_a_worker_of_another_node(cluster):
    one, two = cluster(2)
    eventually(lambda: len(two.workers()) == 2, "the workers of both")
    worker = one.workers()[0]["id"]     # a node's own come first
    assert worker != two.workers()[0]["id"]
    two.post(f"/api/v1/workers/{worker}/drain", status=204)
    eventually(lambda: status_of(one, worker) == "draining", "the drain on its own node")
    eventually(lambda: status_of(two, worker) == "draining", "everybody to know")
    two.post(f"/api/v1/workers/{worker}/resume", status=204)
    eventually(lambda: status_of(one, worker) == "idle", "the end of the drain")
    nobody = "01890000-0000-7000-8000-000000000000"
    assert two.post(f"/api/v1/workers/{nobody}/drain").code == "WORKER_NOT_FOUND"


def folders(node):
    return {os.path.basename(path) for path in glob.glob(os.path.join(node.data, "logs", "*", "*"))}


def test_retention_on_all_nodes(postgres, make_daemon):
    url = postgres.database()
    options = ["--store", url, "--lease", f"{LEASE_S}s", "--workers", "1"]
    nodes = [make_daemon(*options).start() for _ in range(2)]
    runs = []
    for index, node in enumerate(nodes):
        talk = node.create(f"talk{index}", dag({"id": "a", "command": "seq 1 3000"}, placement="node"))["id"]
        runs += [node.wait_run(node.trigger(talk))["runId"] for _ in range(3)]
    runs.sort()
    assert folders(nodes[0]) | folders(nodes[1]) == set(runs)
    for node in nodes:
        node.stop()
    for node in nodes:
        node.start("--keep-runs", "2")
    eventually(lambda: [run["runId"] for run in nodes[0].get("/api/v1/runs").json] == sorted(runs[-2:], reverse=True),
               "two runs to be left")
    eventually(lambda: folders(nodes[0]) | folders(nodes[1]) == set(runs[-2:]), "their logs alone to be left")
    assert nodes[1].log_of(runs[-1], "a").endswith("3000\n")
    assert nodes[1].get(f"/api/v1/runs/{runs[0]}", status=404).code == "RUN_NOT_FOUND"
    for node in nodes:
        node.stop()
    assert postgres.sql(url, "SELECT count(*) FROM pawl.attempts") == "2"
