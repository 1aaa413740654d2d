"""What a monitoring system sees: the text of /metrics, and the dashboard and alerts in packaging/ on it."""
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import urllib.parse

import pytest

from support import eventually, source_root
from test_runs import dag

PACKAGING = os.path.join(source_root(), "packaging")
ALERTS = os.path.join(PACKAGING, "prometheus", "alerts.yml")
SAMPLE = re.compile(r'(scheduler_[a-z0-9_]+)(?:\{((?:[a-z]+="[^"\\\n]*",?)*)\})? (-?[0-9.e+-]+|\+Inf)$')
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}


@pytest.fixture(scope="module")
def worked(shared):
    """A daemon that has seen a success, a failure with a retry, a skip and a refused request."""
    daemon = shared
    daemon.execute("good", dag({"id": "a", "command": "true"}, {"id": "b", "type": "python", "script": "pass\n"}))
    daemon.execute("bad", dag({"id": "a", "command": "exit 3", "retry": {"maxAttempts": 2, "initialDelay": "1ms"}},
                              {"id": "b", "command": "true", "dependencies": ["a"]}))
    daemon.get("/api/v1/runs/nonsense", status=400)
    return daemon


def samples(text):
    """{(name, labels): value}; fails on what is not well-formed or not described before."""
    types, found = {}, {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            assert line.split(" ", 3)[3].endswith("."), line
        elif line.startswith("# TYPE "):
            name, kind = line.split(" ")[2:]
            assert name not in types, f"{name} is described twice"
            assert (kind == "counter") == name.endswith("_total"), line
            types[name] = kind
        else:
            match = SAMPLE.match(line)
            assert match, line
            name, labels, value = match.groups()
            base = next((name[:-len(suffix)] for kind, suffixes in SUFFIXES.items() for suffix in suffixes
                         if name.endswith(suffix) and types.get(name[:-len(suffix)]) == kind), name)
            assert base in types, f"{name} is not described"
            assert (name, labels) not in found, line
            found[name, labels] = float(value)
    return found


def test_text_is_well_formed(worked):
    answer = worked.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = samples(answer.text)
    assert found["scheduler_tasks_total", 'type="shell",outcome="succeeded"'] == 1
    assert found["scheduler_tasks_total", 'type="python",outcome="succeeded"'] == 1
    assert found["scheduler_tasks_total", 'type="shell",outcome="failed"'] == 1
    assert found["scheduler_tasks_total", 'type="shell",outcome="skipped"'] == 1
    assert found["scheduler_retries_total", None] == 1
    assert found["scheduler_attempt_duration_seconds_count", 'type="shell"'] == 3
    assert found["scheduler_run_duration_seconds_count", None] == 2
    assert found["scheduler_store_commits_total", None] > 0
    assert found["scheduler_store_commit_seconds_bucket", 'le="+Inf"'] == found["scheduler_store_commit_seconds_count", None]
    assert found["scheduler_process_resident_memory_bytes", None] > 1e6
    assert found["scheduler_http_requests_total", 'operation="getRun",status="4xx"'] == 1


def test_promtool_has_nothing_to_say(worked):
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("promtool (Debian's prometheus) is not installed")
    lint = subprocess.run([promtool, "check", "metrics"], input=worked.get("/metrics").text, text=True, capture_output=True)
    assert (lint.returncode, lint.stdout + lint.stderr) == (0, "")


def test_alerts_fire_when_they_should():
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("promtool (Debian's prometheus) is not installed")
    rules = subprocess.run([promtool, "test", "rules", "alerts-test.yml"], cwd=os.path.dirname(ALERTS), text=True,
                           capture_output=True)
    assert rules.returncode == 0, rules.stdout + rules.stderr


def free_port():
    """Prometheus does not say which port it got for 0."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def named_metrics(text):
    return set(re.findall(r"\bscheduler_[a-z0-9_]+", text))


def test_dashboard_and_alerts_ask_for_what_there_is(worked):
    names = {name for name, _ in samples(worked.get("/metrics").text)}
    with open(os.path.join(PACKAGING, "grafana", "pawl.json"), encoding="utf-8") as file:
        dashboard = json.load(file)
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    with open(ALERTS, encoding="utf-8") as file:
        asked = named_metrics("\n".join(queries) + file.read())
    assert len(queries) > 20 and asked - names == set()


def test_prometheus_takes_it_all(worked, tmp_path):
    """Debian's Prometheus scrapes the daemon; every query of the dashboard and of the alerts is answered by it."""
    prometheus = shutil.which("prometheus")
    if not prometheus:
        pytest.skip("prometheus is not installed")
    port = free_port()
    (tmp_path / "prometheus.yml").write_text(
        f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{ALERTS}']\n"
        f"scrape_configs: [{{job_name: pawl, static_configs: [{{targets: ['127.0.0.1:{worked.port}']}}]}}]\n")
    server = subprocess.Popen([prometheus, f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/tsdb",
                               f"--web.listen-address=127.0.0.1:{port}"], stderr=subprocess.DEVNULL)
    try:
        ask = Prometheus(port)
        eventually(lambda: ask("up{job='pawl'} == 1"), "the first scrape")
        with open(os.path.join(PACKAGING, "grafana", "pawl.json"), encoding="utf-8") as file:
            panels = json.load(file)["panels"]
        for panel in panels:
            for target in panel.get("targets", ()):
                expr = target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
                assert ask(expr) is not None, f"{panel['title']}: {expr}"
                if "rate(" not in expr:
                    assert ask(expr), f"{panel['title']} is empty: {expr}"
        assert ask("count(ALERTS) or vector(0)") is not None
    finally:
        server.terminate()
        server.wait()


class Prometheus:
    def __init__(self, port):
        self.port = port

    def __call__(self, expr):
        """The samples that answer a query; None: it was refused, or nothing listens yet."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            connection.request("GET", "/api/v1/query?" + urllib.parse.urlencode({"query": expr}))
            reply = json.loads(connection.getresponse().read())
        except (OSError, ValueError, http.client.HTTPException):
            return None
        return reply["data"]["result"] if reply["status"] == "success" else None
