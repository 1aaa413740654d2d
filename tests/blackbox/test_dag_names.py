"""A DAG has the name it was created under, whatever its file says or does not say: after a restart, a schedule's fire and
a take-over, with whatever becomes of its runs."""
import os
import sqlite3
import time

import pytest
from support import dag, eventually

LEASE = "3s"


def text_of(own, *tasks, **fields):
    """A DAG file that has the name `own`, or none."""
    text = dag(*tasks, **fields, name=own or "unnamed")
    return text if own else text.replace('"name": "unnamed", ', "", 1)


def letters_of(node, run_id):
    return [one for one in node.get("/api/v1/dlq").json if one["runId"] == run_id]


def names(node, run_id):
    """Wherever the API says what DAG a run is of."""
    run = node.run(run_id)
    lists = {"list": f"/api/v1/dags/{run['dagId']}/runs", "all": "/api/v1/runs"}
    said = {"run": run["dagName"],
            **{key: [one["dagName"] for one in node.get(at).json if one["runId"] == run_id] for key, at in lists.items()},
            "graph": node.get(f"/api/v1/runs/{run_id}/graph").json["dagName"],
            "letters": [one["dagName"] for one in letters_of(node, run_id)]}
    with node.events(run_id) as stream:
        said["event"] = next(event.data["dagName"] for event in stream if event.name == "run")
    return said


def all_are(name, said, letters):
    return said == {"run": name, "list": [name], "all": [name], "graph": name, "event": name, "letters": [name] * letters}


def failing(gate, own, **fields):
    return text_of(own, {"id": "a", "command": gate.command("env | grep '^PAWL_DAG'; exit 3")}, **fields)


@pytest.mark.parametrize("own", ["file", None])
def test_over_a_crash(make_daemon, gate, own):
    daemon, gate = make_daemon().start(), gate()
    dag_id = daemon.create("given", failing(gate, own))["id"]
    run_id = daemon.trigger(dag_id)
    gate.wait_arrival()
    assert all_are("given", names(daemon, run_id), 0)
    daemon.kill()
    daemon.start()
    assert all_are("given", names(daemon, run_id), 0)
    # one more of the same version, which that run's DAG may serve
    second = daemon.trigger(dag_id)
    gate.wait_arrival()
    for _ in range(2):
        gate.open()
    for one in (run_id, second):
        assert daemon.wait_run(one)["state"] == "failed"
        assert all_are("given", names(daemon, one), 1)
        assert daemon.log_of(one, "a") == f"PAWL_DAG_ID={dag_id}\n"
    letter, = letters_of(daemon, run_id)
    assert [one["dagName"] for one in daemon.get("/api/v1/dlq").json] == ["given"] * 2

    # what is made of it, with and without changes, over another crash
    changed = daemon.post(f"/api/v1/dlq/{letter['id']}/retry", {"changes": {"timeout": "1h"}}, 202).json["runId"]
    again = daemon.post(f"/api/v1/runs/{second}/rerun", {"from": "all"}, 202).json["runId"]
    for _ in range(2):
        gate.wait_arrival()
    for life in range(2):
        assert all_are("given", names(daemon, changed), 0) and all_are("given", names(daemon, again), 0), life
        if life == 0:
            daemon.kill()
            daemon.start()
    for _ in range(2):
        gate.open()
    for one in (changed, again):
        assert daemon.wait_run(one)["state"] == "failed"
        assert all_are("given", names(daemon, one), 1)


@pytest.mark.parametrize("own", ["file", None])
def test_a_schedule_over_a_restart(make_daemon, gate, own):
    daemon, gate = make_daemon().start(), gate()
    away = f"{(time.gmtime().tm_min + 30) % 60} * * * *"  # none comes while the test runs
    schedule = {"cron": away, "timezone": "UTC", "catchup": "latest"}
    dag_id = daemon.create("nightly", failing(gate, own, schedule=schedule))["id"]
    daemon.stop()
    with sqlite3.connect(os.path.join(daemon.data, "pawl.db")) as store:
        store.execute("UPDATE dags SET covered_ms = covered_ms - 3600 * 1000 * 2")
    store.close()
    daemon.start()
    gate.wait_arrival()
    run, = daemon.get(f"/api/v1/dags/{dag_id}/runs").json
    assert run["scheduledFor"] and all_are("nightly", names(daemon, run["runId"]), 0)
    gate.open()
    daemon.wait_run(run["runId"])
    assert all_are("nightly", names(daemon, run["runId"]), 1)
    assert {one["dagName"] for one in daemon.get("/api/v1/schedule/next").json["fires"]} == {"nightly"}


@pytest.mark.parametrize("own", ["file", None])
def test_over_a_take_over(postgres, make_daemon, tmp_path, own):
    url = postgres.database()
    one, two = (make_daemon("--store", url, "--lease", LEASE, "--workers", "1").start() for _ in range(2))
    command = f"echo $PAWL_ATTEMPT >> {tmp_path}/ledger; while ! [ -e {tmp_path}/go ]; do sleep 0.1; done; exit 3"
    kept = one.create("given", text_of(own, {"id": "a", "command": command}, placement="node"))["id"]
    run_id = one.trigger(kept)
    eventually(lambda: (tmp_path / "ledger").exists(), "the first attempt")
    assert {node.run(run_id)["dagName"] for node in (one, two)} == {"given"}
    one.kill()
    eventually(lambda: "2" in (tmp_path / "ledger").read_text().split(), "the second attempt")
    assert all_are("given", names(two, run_id), 0)
    one.start()
    assert one.run(run_id)["dagName"] == "given"
    (tmp_path / "go").touch()
    eventually(lambda: two.run(run_id)["state"] == "failed", "its end")
    assert all_are("given", names(two, run_id), 1)


def test_a_guest_needs_no_name(postgres, make_daemon, tmp_path):
    """Attempts of a DAG whose file has no name run on other nodes too."""
    url = postgres.database()
    pair = [make_daemon("--store", url, "--lease", LEASE, "--workers", "1", "--slots", "1").start() for _ in range(2)]
    command = f"echo $$ > {tmp_path}/here.$PAWL_TASK_ID; while ! [ -e {tmp_path}/go ]; do sleep 0.1; done"
    run_id = pair[0].start_run("given", text_of(None, {"id": "a", "command": command}, {"id": "b", "command": command},
                                                placement="any"))
    eventually(lambda: len(list(tmp_path.glob("here.*"))) == 2, "an attempt on each node")
    (tmp_path / "go").touch()
    eventually(lambda: pair[1].run(run_id)["state"] == "succeeded", "its end")
