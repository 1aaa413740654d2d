"""Schedules: what is made up for at a start, backfill, preview (G9). No test waits for a minute to come: what is covered
is moved back in the store of a daemon that is down."""
import json
import os
import signal
import sqlite3
import subprocess
import time

import pytest
from support import eventually, pawl_path

NIGHTLY = """
name: {name}
schedule: {{cron: "{cron}", timezone: UTC, catchup: {catchup}, overlap: {overlap}}}
tasks:
  - {{id: a, type: shell, command: "echo $PAWL_SCHEDULED_FOR"}}
"""


def hourly():
    """Half an hour away from now, so that none comes while a test runs."""
    return f"{(time.gmtime().tm_min + 30) % 60} * * * *"


def make(daemon, name="s", cron=None, catchup="all", overlap="skip"):
    text = NIGHTLY.format(name=name, cron=cron or hourly(), catchup=catchup, overlap=overlap)
    answer = daemon.post("/api/v1/dags", {"name": name, "yaml": text})
    assert answer.status == 201, answer.json
    return answer.json["id"]


def sleep_for(daemon, hours):
    """As if it had been down for so long."""
    daemon.stop()
    with sqlite3.connect(os.path.join(daemon.data, "pawl.db")) as store:
        store.execute("UPDATE dags SET covered_ms = covered_ms - ?", (hours * 3600 * 1000,))
    store.close()
    daemon.start()


def runs(daemon, dag_id):
    return daemon.get(f"/api/v1/dags/{dag_id}/runs?limit=1000").json


def fires(daemon, dag_id):
    return daemon.get(f"/api/v1/dags/{dag_id}/fires?limit=1000").json


@pytest.mark.parametrize("catchup, overlap, fired", [("none", "allow", 0), ("latest", "skip", 1), ("all", "skip", 5),
                                                     ("all", "allow", 5)])
def test_what_was_missed_is_made_up_for_once(make_daemon, catchup, overlap, fired):
    daemon = make_daemon().start()
    dag_id = make(daemon, catchup=catchup, overlap=overlap)
    sleep_for(daemon, 5)
    for _ in range(2):
        eventually(lambda: sum(fire["count"] for fire in fires(daemon, dag_id)) == 5, "five instants covered")
        eventually(lambda: [run["state"] for run in runs(daemon, dag_id)] == ["succeeded"] * fired, "all runs")
        shown = fires(daemon, dag_id)
        assert sorted(fire["outcome"] for fire in shown if fire["outcome"] != "skipped") == ["fired"] * fired
        assert all(fire["reason"] == "missed" for fire in shown if fire["outcome"] == "skipped")
        by_run = {fire["runId"]: fire["from"] for fire in shown if fire["outcome"] == "fired"}
        for run in runs(daemon, dag_id):
            assert run["triggeredBy"] == "schedule" and by_run[run["runId"]] == run["scheduledFor"]
            log = daemon.get(f"/api/v1/runs/{run['runId']}/tasks/a/log")
            assert log.text.strip() == run["scheduledFor"]
        daemon.stop()
        daemon.start()


def test_paused_is_skipped(make_daemon):
    daemon = make_daemon().start()
    dag_id = make(daemon)
    assert daemon.post(f"/api/v1/dags/{dag_id}/pause").status == 204
    sleep_for(daemon, 3)
    assert fires(daemon, dag_id) == []
    assert daemon.post(f"/api/v1/dags/{dag_id}/resume").status == 204
    [fire] = fires(daemon, dag_id)
    assert (fire["outcome"], fire["reason"], fire["count"]) == ("skipped", "paused", 3)
    assert runs(daemon, dag_id) == []


def test_backfill(daemon):
    dag_id = make(daemon, cron="0 0 * * *")
    asked = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-03T12:00:00Z"}
    days = [f"2026-01-0{day}T00:00:00.000Z" for day in (1, 2, 3)]
    dry = daemon.post(f"/api/v1/dags/{dag_id}/backfill", {**asked, "dryRun": True})
    assert (dry.status, dry.json["instants"], dry.json["accepted"]) == (200, days, 0)
    assert fires(daemon, dag_id) == []
    some = daemon.post(f"/api/v1/dags/{dag_id}/backfill", {**asked, "max": 2})
    assert (some.status, some.json["instants"], some.json["more"]) == (202, days[:2], True)
    again = daemon.post(f"/api/v1/dags/{dag_id}/backfill", asked)
    assert (again.status, again.json["instants"], again.json["firedBefore"]) == (202, days[2:], 2)
    eventually(lambda: [run["state"] for run in runs(daemon, dag_id)] == ["succeeded"] * 3, "three runs")
    assert [run["scheduledFor"] for run in reversed(runs(daemon, dag_id))] == days
    assert {run["triggeredBy"] for run in runs(daemon, dag_id)} == {"backfill"}
    for body in ({"from": "yesterday", "to": "2026-01-01T00:00:00Z"}, {"from": "2026-01-02T00:00:00Z"},
                 {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, {**asked, "to": "2999-01-01T00:00:00Z"},
                 {**asked, "max": 0}, {**asked, "max": "2"}, {**asked, "dryRun": "yes"}, {**asked, "parallel": 0},
                 {**asked, "parallel": 101}):
        answer = daemon.post(f"/api/v1/dags/{dag_id}/backfill", body)
        assert (answer.status, answer.json["code"]) == (400, "BAD_REQUEST"), body


def cli(daemon, *arguments):
    done = subprocess.run([pawl_path(), *arguments, "--data", daemon.data], capture_output=True, text=True, timeout=90,
                          check=False, env=daemon.env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_preview_and_backfill_by_command(daemon):
    make(daemon, cron="30 2 * * *")
    want = ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00"]
    options = ["--tz", "Europe/Berlin", "--from", "2026-03-28T00:00:00Z", "-n", "2", "-o", "json"]
    for what in ("30 2 * * *", "s"):
        assert json.loads(cli(daemon, "cron", "preview", what, *options)) == {"next": want}
    answer = daemon.get("/api/v1/schedule/preview?expr=30%202%20*%20*%20*&tz=Europe/Berlin&from=2026-03-28T00:00:00Z&n=2")
    assert [one["local"] for one in answer.json["next"]] == want
    assert [one["why"] for one in answer.json["next"]] == ["on time", "skipped hour"]
    assert "T02:30:00+00:00" in cli(daemon, "dags", "show", "s")
    out = cli(daemon, "backfill", "s", "--from", "2026-01-01T00:00:00Z", "--to", "2026-01-02T00:00:00Z", "--dry-run")
    assert out == "2026-01-01T02:30:00.000Z\n"


def test_backfill_in_parallel(daemon, gate):
    """So many at once as were asked for, though the schedule's own runs may not overlap; after a crash too."""
    there = gate()
    text = NIGHTLY.format(name="s", cron="0 0 * * *", catchup="none", overlap="skip")
    text = text.replace("echo $PAWL_SCHEDULED_FOR", there.command())
    dag_id = daemon.post("/api/v1/dags", {"name": "s", "yaml": text}).json["id"]
    cli(daemon, "backfill", "s", "--from", "2026-01-01T00:00:00Z", "--to", "2026-01-05T12:00:00Z", "--parallel", "3")
    first = [there.wait_arrival() for _ in range(3)]
    assert [fire["parallel"] for fire in fires(daemon, dag_id)] == [3] * 5
    daemon.signal(signal.SIGKILL)
    daemon.wait()
    daemon.start()
    assert len(runs(daemon, dag_id)) == 3 and all(os.path.exists(f"/proc/{pid}") for pid in first)
    there.open()
    there.wait_arrival()
    assert (len(runs(daemon, dag_id)), there.arrivals()) == (4, 0)
    for _ in range(4):
        there.open()
    there.wait_arrival()
    eventually(lambda: [run["state"] for run in runs(daemon, dag_id)] == ["succeeded"] * 5, "five runs")
