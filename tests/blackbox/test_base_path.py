"""A folder that a proxy leaves in front of the paths of requests: below it everything is as without it."""
import subprocess

import pytest
import yaml
from support import PATIENCE, dag, pawl_path

BASE = "/tools/pawl"


@pytest.fixture
def below(make_daemon):
    return make_daemon().start("--base-path", BASE)


def test_the_same_answers_with_it_and_without(below):
    made = below.send("POST", f"{BASE}/api/v1/dags", {"name": "a", "yaml": dag({"id": "a", "command": "echo said"})})
    assert (made.status, made.headers["location"]) == (201, f"{BASE}/api/v1/dags/{made.json['id']}")
    run = below.send("POST", f"{BASE}/api/v1/dags/{made.json['id']}/runs", {})
    assert (run.status, run.headers["location"]) == (202, f"{BASE}/api/v1/runs/{run.json['runId']}")
    plain = below.send("POST", f"/api/v1/dags/{made.json['id']}/runs", {})
    assert plain.headers["location"] == f"/api/v1/runs/{plain.json['runId']}"
    assert below.wait_run(run.json["runId"])["state"] == "succeeded"
    for target in ("/", "/docs", "/ready", "/api/v1/dags", f"/api/v1/runs/{run.json['runId']}",
                   f"/api/v1/runs/{run.json['runId']}/tasks/a/log", "/api/v1/runs?limit=1"):
        one, other = below.send("GET", target), below.send("GET", BASE + target)
        assert (one.status, one.body) == (other.status, other.body) and one.status == 200, target
    for script in below.get(f"{BASE}/").body.decode().split('"'):
        if script.startswith("ui/"):
            assert below.get(f"{BASE}/{script}").body


def test_the_document_says_where_it_is(below):
    plain, there = below.get("/docs/openapi.yaml"), below.get(f"{BASE}/docs/openapi.yaml")
    assert [yaml.safe_load(answer.text)["servers"][0]["url"] for answer in (plain, there)] == ["/", BASE]
    printed = subprocess.run([pawl_path(), "openapi", "--base-path", BASE], capture_output=True, timeout=PATIENCE, check=True)
    assert printed.stdout.decode() == there.text


def test_the_folder_itself_names_the_page_with_the_slash(below):
    answer = below.send("GET", BASE)
    assert (answer.status, answer.headers["location"]) == (308, f"{BASE}/")


@pytest.mark.parametrize("target", ["/tools", "/tools/", "/tools/paw/api/v1/dags", "/tools/pawls/live", "/tools%2Fpawl/live",
                                    f"{BASE}{BASE}/live", f"{BASE}//live", f"/x{BASE}/live", f"{BASE}/none"])
def test_nothing_else_is_below_it(below, target):
    assert below.send("GET", target).status == 404


def test_it_is_none_without_the_setting(daemon):
    assert daemon.send("GET", f"{BASE}/live").status == 404


def test_commands_go_below_it_and_without(below):
    below.create("a", dag({"id": "a", "command": "true"}))
    for where in (["--data", below.data], ["--server", f"http://127.0.0.1:{below.port}{BASE}"],
                  ["--server", f"http://127.0.0.1:{below.port}"]):
        done = subprocess.run([pawl_path(), "dags", "list", "-o", "json", *where], capture_output=True, text=True, timeout=PATIENCE,
                              check=True)
        assert '"name":"a"' in done.stdout.replace(" ", "")


def test_a_wrong_one_is_refused(tmp_path):
    for path in ("pawl", "/pawl/", "/api", "/a/../b"):
        done = subprocess.run([pawl_path(), "serve", "--data", tmp_path, "--base-path", path], capture_output=True, text=True,
                              timeout=PATIENCE, check=False)
        assert done.returncode == 2 and "--base-path" in done.stderr
