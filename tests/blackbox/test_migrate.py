"""`pawl migrate`: from one machine's store to PostgreSQL and back, compared through the API."""
import json
import os
import shutil

import pytest
from cli_support import Shell
from support import dag, eventually


@pytest.fixture
def cli(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    return Shell(home)


def pages(node, target):
    """All of a list, page by page."""
    found, before = [], ""
    while True:
        page = node.get(f"{target}{'&' if '?' in target else '?'}limit=100{before}").json
        if not page:
            return found
        found += page
        before = f"&before={page[-1].get('runId') or page[-1]['id']}"


def everything(node):
    """What the API tells of a store, worker and node names apart."""
    dags = pages(node, "/api/v1/dags")
    runs = pages(node, "/api/v1/runs")
    seen = {"dags": dags, "runs": runs, "letters": pages(node, "/api/v1/dlq")}
    for one in dags:
        for version in range(1, one["version"] + 1):
            seen[f"source {one['id']} {version}"] = node.get(f"/api/v1/dags/{one['id']}/source?version={version}").text
        seen[f"fires {one['id']}"] = node.get(f"/api/v1/dags/{one['id']}/fires").json
    for run in runs:
        status = node.run(run["runId"])
        seen[f"run {run['runId']}"] = status
        for task in status["tasks"]:
            seen[f"log {run['runId']} {task['taskId']}"] = node.log_of(run["runId"], task["taskId"])
    return seen


def fill(node):
    first = node.create("first", dag({"id": "a", "command": "seq 1 5000"}, {"id": "b", "command": "echo short"},
                                     {"id": "c", "command": "echo why >&2; exit 3", "dependencies": ["a"],
                                      "retry": {"maxAttempts": 2, "initialDelay": "10ms"}}))
    for _ in range(3):
        node.wait_run(node.trigger(first["id"]))
    changed = node.send("PUT", f"/api/v1/dags/{first['id']}",
                        {"yaml": dag({"id": "a", "command": "true"}, name="first", schedule="0 0 1 1 *")})
    assert changed.status == 200, changed
    node.wait_run(node.trigger(first["id"], **{"Idempotency-Key": "once"}))
    letter = node.get("/api/v1/dlq").json[0]["id"]
    node.post(f"/api/v1/dlq/{letter}/resolve", {"notes": "seen", "resolvedBy": "me"}, 204)
    assert node.send("DELETE", f"/api/v1/dags/{node.create('gone', dag({'id': 'a', 'command': 'true'}))['id']}").status == 204
    hold(node)
    return first["id"]


def hold(node):
    """A paused DAG, of whose backfill one instant's run waits for a retry and the others for that run."""
    held = node.create("held", dag({"id": "a", "command": "exit 1", "retry": {"maxAttempts": 2, "initialDelay": "1h",
                                                                              "maxDelay": "1h"}},
                                   schedule="0 0 1 1 *"))["id"]
    asked = {"from": "2023-01-01T00:00:00Z", "to": "2025-01-02T00:00:00Z"}
    assert node.post(f"/api/v1/dags/{held}/backfill", asked, 202).json["accepted"] == 3
    run = eventually(lambda: node.get(f"/api/v1/dags/{held}/runs").json, "a run of the backfill")[0]["runId"]
    eventually(lambda: node.run(run)["tasks"][0]["nextAttemptAt"], "it waits for a retry")
    node.post(f"/api/v1/dags/{held}/pause", None, 204)
    fires = node.get(f"/api/v1/dags/{held}/fires").json
    assert sorted(fire["outcome"] for fire in fires) == ["fired", "queued", "queued"], fires
    assert node.get("/api/v1/dlq?status=pending").json


def place_of(daemon):
    return f"sqlite://{daemon.data}"


def test_there_and_back(postgres, make_daemon, cli, tmp_path):
    old = make_daemon().start()
    first = fill(old)
    before = everything(old)
    key = {"Idempotency-Key": "once"}
    keyed = old.post(f"/api/v1/dags/{first}/runs", None, 202, key).json["runId"]
    url = postgres.database()
    assert "in use" in cli("migrate", place_of(old), url, status=5).stderr
    old.stop()
    with open(os.path.join(old.data, "pawl.db"), "rb") as file:
        bytes_before = file.read()
    moved = json.loads(cli("migrate", place_of(old), url, "-o", "json", status=0).stdout)["moved"]
    assert moved["DAGs"] == 3 and moved["ended runs"] == 4 and moved["attempts"] == 14
    with open(os.path.join(old.data, "pawl.db"), "rb") as file:
        assert file.read() == bytes_before

    node = make_daemon("--store", url, "--lease", "3s").start()
    eventually(lambda: all(run["counts"] for run in pages(node, "/api/v1/runs")), "the node to take over what is active")
    assert everything(node) == before
    assert node.post(f"/api/v1/dags/{first}/runs", None, 202, key).json["runId"] == keyed
    assert "in use" in cli("migrate", url, f"sqlite://{tmp_path}/back", status=5).stderr
    node.stop()
    assert "sound" in cli("fsck", "--store", url, status=0).stderr
    assert "holds a store already" in cli("migrate", place_of(old), url, status=2).stderr

    back = make_daemon()
    os.makedirs(back.data, mode=0o700)
    cli("migrate", url, place_of(back), status=0)
    assert "sound" in cli("fsck", "--data", back.data, status=0).stderr
    back.start()
    assert everything(back) == before
    assert back.post(f"/api/v1/dags/{first}/runs", None, 202, key).json["runId"] == keyed
    assert back.execute("more", dag({"id": "a", "command": "true"}))["state"] == "succeeded"


def test_running_attempts_are_in_the_way(postgres, make_daemon, cli, gate):
    gate = gate()
    old = make_daemon("--workers", "1", "--slots", "1").start()
    holds = old.create("holds", dag({"id": "a", "command": gate.command()}))["id"]
    first = old.trigger(holds)
    gate.wait_arrival()
    waits = old.start_run("waits", dag({"id": "a", "command": "true"}))
    url = postgres.database()
    old.kill()
    assert "attempts are running" in cli("migrate", place_of(old), url, status=5).stderr
    old.start()
    gate.open()
    old.wait_run(first)
    old.wait_run(waits)
    old.stop()
    cli("migrate", place_of(old), url, status=0)
    node = make_daemon("--store", url, "--lease", "3s", "--workers", "1").start()
    assert node.run(waits)["state"] == "succeeded"


def test_places_that_are_none(make_daemon, cli, tmp_path):
    assert "no place of a store" in cli("migrate", "here", "there", status=2).stderr
    assert "No such file" in cli("migrate", f"sqlite://{tmp_path}/none", f"sqlite://{tmp_path}/to", status=4).stderr
    assert not (tmp_path / "none").exists()
    one = make_daemon().start()
    one.execute("a", dag({"id": "a", "command": "echo out"}))
    before = everything(one)
    one.stop()
    other = make_daemon()
    os.makedirs(other.data, mode=0o700)
    cli("migrate", place_of(one), place_of(other), status=0)
    other.start()
    assert everything(other) == before
    other.stop()
    shutil.rmtree(other.data)
