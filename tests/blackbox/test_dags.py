"""DAGs: made, read, listed, changed, deleted."""
import json
import urllib.parse
import uuid

import pytest
from support import dag

ONE = dag({"id": "a", "command": "true"})


def fresh(name="dag"):
    return f"{name}-{uuid.uuid4()}"


def test_create_gives_a_dag(shared):
    name = fresh()
    answer = shared.post("/api/v1/dags", {"name": name, "yaml": dag({"id": "a", "command": "true"},
                                                                     {"id": "b", "command": "true"},
                                                                     schedule="0 2 * * *")})
    assert answer.status == 201
    made = answer.json
    assert set(made) >= {"id", "name", "taskCount", "schedule", "version", "createdAt"}
    assert (made["name"], made["taskCount"], made["schedule"], made["version"]) == (name, 2, "0 2 * * *", 1)
    assert uuid.UUID(made["id"]).version == 7
    assert shared.get(f"/api/v1/dags/{made['id']}").json == made
    assert shared.get(f"/api/v1/dags?name={name}").json == [made]


def test_the_name_given_wins_over_the_files(shared):
    name = fresh()
    made = shared.create(name, "name: another\ntasks: [{id: a, type: shell, command: 'true'}]")
    assert made["name"] == name


def test_the_same_name_is_refused(shared):
    name = fresh()
    shared.create(name, ONE)
    answer = shared.post("/api/v1/dags", {"name": name, "yaml": ONE})
    assert answer.status == 409 and answer.code == "DAG_EXISTS"


@pytest.mark.parametrize("yaml,code,text", [
    ("name: [", "PARSE_ERROR", "Invalid YAML: "),
    ("name: x\n", "PARSE_ERROR", "Missing required field: "),
    ("name: x\ntasks: [{id: a, type: perl, command: x}]", "PARSE_ERROR",
     "Invalid task type: perl (expected: shell, http, python)"),
    ("name: x\ntasks: [{id: a, type: shell, command: x, timeout: 5x}]", "PARSE_ERROR",
     "Invalid duration format: 5x (expected: 30s, 5m, 1h)"),
    ("name: x\ntasks: [{id: a, type: shell, command: x, dependencies: [b]}, {id: b, type: shell, command: x, "
     "dependencies: [a]}]", "VALIDATION_ERROR", "Cycle detected: a -> b -> a"),
    ("name: x\ntasks: [{id: a, type: shell, command: x, dependencies: [b]}]", "VALIDATION_ERROR",
     "Task 'a' depends on 'b' which does not exist"),
    ("name: x\ntasks: [{id: a, type: shell, command: x}, {id: a, type: shell, command: x}]", "VALIDATION_ERROR",
     "Duplicate task ID: a"),
    ("name: x\ntasks: []", "VALIDATION_ERROR", "has no tasks"),
])
def test_what_is_wrong_is_said(shared, yaml, code, text):
    name = fresh()
    answer = shared.post("/api/v1/dags", {"name": name, "yaml": yaml})
    assert answer.status == 400 and answer.code == code, answer
    messages = [problem["message"].replace(name, "x") for problem in answer.json["errors"]]
    assert any(text in message for message in messages), messages
    assert all(problem["line"] is None or problem["line"] >= 1 for problem in answer.json["errors"])
    checked = shared.post("/api/v1/dags/validate", {"yaml": yaml}, 200).json
    assert checked["valid"] is False
    assert [problem["message"] for problem in checked["errors"]] == messages


def test_all_errors_in_one_pass(shared):
    yaml = "name: x\ntasks:\n- {id: a, type: perl, command: x}\n- {id: b, type: shell, comand: x}\n"
    errors = shared.post("/api/v1/dags/validate", {"yaml": yaml}, 200).json["errors"]
    assert {3, 4} <= {problem["line"] for problem in errors}
    assert any(problem["hint"] and "command" in problem["hint"] for problem in errors)


def test_validate_keeps_nothing(shared):
    name = fresh()
    assert shared.post("/api/v1/dags/validate", {"yaml": dag({"id": "a", "command": "true"}, name=name)},
                       200).json["valid"] is True
    assert shared.get(f"/api/v1/dags?name={name}").json == []


NAMELESS = "tasks: [{id: a, type: shell, command: 'true'}]\n"


def test_validate_says_what_create_and_update_would(shared):
    """They name the DAG, so the file need not."""
    name = fresh()
    made = shared.create(name, NAMELESS)
    assert shared.send("PUT", f"/api/v1/dags/{made['id']}", {"yaml": NAMELESS + "timeout: 1h\n"}).status == 200
    checked = shared.post("/api/v1/dags/validate", {"name": name, "yaml": NAMELESS}, 200).json
    assert checked == {"valid": True, "errors": [], "warnings": []}
    checked = shared.post("/api/v1/dags/validate", {"yaml": NAMELESS}, 200).json
    assert (checked["valid"], checked["errors"]) == (True, [])
    assert [(one["line"], one["message"]) for one in checked["warnings"]] == [
        (1, "The file has no name: it is for a request that names the DAG")]
    assert shared.post("/api/v1/dags/graph", {"yaml": NAMELESS}, 200).json["dagName"] == ""


@pytest.mark.parametrize("body", [
    {"name": "a\nb", "yaml": NAMELESS}, {"name": "..", "yaml": ONE}, {"name": "x", "yaml": "name: [x]\n" + NAMELESS},
    {"name": "x", "yaml": "nam: x\n" + NAMELESS}])
def test_validate_refuses_what_create_refuses(shared, body):
    refused = shared.post("/api/v1/dags", body, 400)
    checked = shared.post("/api/v1/dags/validate", body, 200).json
    assert checked["valid"] is False and checked["errors"] == refused.json["errors"]


def test_update_makes_versions(shared):
    made = shared.create(fresh(), ONE)
    target = f"/api/v1/dags/{made['id']}"
    same = shared.send("PUT", target, {"yaml": ONE})
    assert same.status == 200 and same.json["version"] == 1
    two = dag({"id": "a", "command": "true"}, {"id": "b", "command": "true"}, name="renamed")
    changed = shared.send("PUT", target, {"yaml": two})
    assert changed.status == 200
    assert (changed.json["version"], changed.json["taskCount"], changed.json["name"]) == (2, 2, made["name"])
    assert shared.get(f"{target}/source").text == two
    assert shared.get(f"{target}/source?version=1").text == ONE
    assert shared.get(f"{target}/source?version=3", 404).code == "DAG_NOT_FOUND"


def test_if_match(shared):
    made = shared.create(fresh(), ONE)
    target = f"/api/v1/dags/{made['id']}"
    tag = shared.get(target).headers["etag"]
    change = dag({"id": "b", "command": "true"})
    assert shared.send("PUT", target, {"yaml": change}, {"If-Match": tag}).json["version"] == 2
    stale = shared.send("PUT", target, {"yaml": ONE}, {"If-Match": tag})
    assert stale.status == 412 and stale.code == "PRECONDITION_FAILED"
    assert shared.get(target).json["version"] == 2
    cached = shared.send("GET", target, headers={"If-None-Match": shared.get(target).headers["etag"]})
    assert cached.status == 304 and cached.body == b""


def test_runs_keep_the_version_they_started_with(shared, gate):
    waits = gate()
    made = shared.create(fresh(), dag({"id": "a", "command": waits.command()}))
    run_id = shared.trigger(made["id"])
    waits.wait_arrival()
    shared.send("PUT", f"/api/v1/dags/{made['id']}", {"yaml": dag({"id": "other", "command": "true"})})
    waits.open()
    run = shared.wait_run(run_id)
    assert [task["taskId"] for task in run["tasks"]] == ["a"] and run["state"] == "succeeded"
    assert [task["taskId"] for task in shared.wait_run(shared.trigger(made["id"]))["tasks"]] == ["other"]


def test_delete(shared, gate):
    waits, name = gate(), fresh()
    made = shared.create(name, dag({"id": "a", "command": waits.command()}))
    target = f"/api/v1/dags/{made['id']}"
    run_id = shared.trigger(made["id"])
    waits.wait_arrival()
    refused = shared.send("DELETE", target)
    assert refused.status == 409 and refused.code == "DAG_HAS_ACTIVE_RUNS"
    waits.open()
    shared.wait_run(run_id)
    gone = shared.send("DELETE", target)
    assert gone.status == 204 and gone.body == b""
    assert shared.get(target, 404).code == "DAG_NOT_FOUND"
    assert shared.send("DELETE", target).status == 404
    assert shared.post(f"{target}/runs").status == 404
    assert shared.get(f"/api/v1/runs/{run_id}").json["state"] == "succeeded"
    assert shared.log_of(run_id, "a") == ""
    assert shared.create(name, ONE)["id"] != made["id"]


def test_lists_are_newest_first_and_paged(make_daemon):
    daemon = make_daemon().start()
    ids = [daemon.create(f"dag{i}", ONE)["id"] for i in range(7)]
    newest = ids[::-1]

    def listed(query=""):
        return [one["id"] for one in daemon.get("/api/v1/dags" + query).json]

    assert listed() == newest
    assert listed("?limit=3") == newest[:3]
    assert listed("?limit=3&offset=3") == newest[3:6]
    assert listed(f"?limit=3&before={newest[2]}") == newest[3:6]
    assert listed(f"?before={ids[0]}") == []
    assert [one["name"] for one in daemon.get("/api/v1/dags?name=dag4").json] == ["dag4"]
    assert listed("?name=dag") == []


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "limit=", "offset=-1", "offset=10001",
                                   "before=x", "limits=1", "limit=1&limit=2"])
def test_bad_queries(shared, query):
    answer = shared.get("/api/v1/dags?" + query, 400)
    assert answer.code == "BAD_REQUEST" and answer.json["details"] is None or answer.json["message"]


@pytest.mark.parametrize("body,status", [
    (b"", 400), (b"{", 400), (b"[]", 400), (b'{"name": "x"}', 400), (b'{"yaml": "x"}', 400),
    (b'{"name": 1, "yaml": "x"}', 400), (b'{"name": "x", "yaml": "x", "more": 1}', 400),
    (b'{"name": "x", "name": "y", "yaml": "x"}', 400), (b'{"name": "", "yaml": "x"}', 400),
    (b'{"name": "' + b"x" * 251 + b'", "yaml": ""}', 400), (b'{"name": "a\\u0000b", "yaml": ""}', 400),
    (b'{"name": "..", "yaml": ""}', 400), (b"\xff", 400), (b"null", 400),
])
def test_bad_bodies(shared, body, status):
    answer = shared.send("POST", "/api/v1/dags", body, {"Content-Type": "application/json"})
    assert answer.status == status, answer
    assert set(answer.json) >= {"code", "message", "details"}


def test_bad_ids(shared):
    assert shared.get("/api/v1/dags/x", 400).code == "BAD_REQUEST"
    assert shared.get(f"/api/v1/dags/{uuid.uuid4()}", 404).code == "DAG_NOT_FOUND"
    assert shared.get("/api/v1/nothing", 404).code == "NOT_FOUND"


def test_names_are_text(shared):
    """What looks like markup, a path or another script comes back as it was."""
    for name in ("<script>alert(1)</script>", "../../etc/passwd", "Привет 世界 🚀", "a b\"c'd", "%2e%2e"):
        name += fresh("")
        made = shared.create(name, ONE)
        assert made["name"] == name
        found = shared.get("/api/v1/dags?" + urllib.parse.urlencode({"name": name}))
        assert [one["id"] for one in found.json] == [made["id"]]
        assert found.headers["content-type"] == "application/json"
        assert found.headers["x-content-type-options"] == "nosniff"


def test_pause_and_resume(shared):
    made = shared.create(fresh(), dag({"id": "a", "command": "true"}, schedule="0 2 * * *"))
    target = f"/api/v1/dags/{made['id']}"
    for action, paused in (("pause", True), ("pause", True), ("resume", False)):
        assert shared.post(f"{target}/{action}").status == 204
        assert shared.get(target).json["paused"] is paused
    shared.post(f"{target}/pause", None, 204)
    assert shared.wait_run(shared.trigger(made["id"]))["state"] == "succeeded"
    assert shared.post(f"/api/v1/dags/{uuid.uuid4()}/pause").status == 404


def test_large_bodies_are_compressed_on_request(shared):
    import gzip
    tasks = [{"id": f"t{i}", "command": "true"} for i in range(2000)]
    made = shared.create(fresh(), dag(*tasks))
    target = f"/api/v1/dags/{made['id']}/source"
    plain = shared.get(target)
    packed = shared.send("GET", target, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip" and len(packed.body) < len(plain.body) / 2
    assert gzip.decompress(packed.body) == plain.body
    assert len(json.loads(plain.body)["tasks"]) == 2000


def test_request_ids(shared):
    assert shared.send("GET", "/live", headers={"X-Request-Id": "mine-1"}).headers["x-request-id"] == "mine-1"
    assert shared.get("/live").headers["x-request-id"]
    odd = shared.send("GET", "/live", headers={"X-Request-Id": "x" * 500}).headers["x-request-id"]
    assert odd and odd != "x" * 500
