"""Every documented route with every role and every kind of token that is none. The routes come from the running program's own table
(GET /docs/openapi.yaml), so a new one is in it without being asked; the roles they must need are written here once more,
so that a route without an entry, or with another role in the program, fails."""
import http.client
import itertools
import json
import subprocess
import uuid

import pytest
import yaml
from support import PATIENCE, eventually, pawl_path

ROLES = ["none", "viewer", "operator", "admin"]
LEAST = {
    "none": "getDagSchema getMe createSession deleteSession getHealth getReady getLive getOpenapi getDocs getHome",
    "viewer": "listDags getDag getDagSource validateDag getDagGraph getDagHistory listNextFires listTaskAttempts getCriticalPath listRunningTasks drawDag listDagVersions getRunGraph listDagRuns listRuns getRun getTaskLog "
              "getTaskInstanceLog getTaskWhy getRunEvents getEvents listWorkers getCluster listDeadLetters "
              "getDeadLetterStats listDeadLetterGroups getDeadLetter getMetrics previewSchedule listDagFires",
    "operator": "bulkRuns pauseDag resumeDag triggerDag cancelRun rerunRun drainWorker resumeWorker bulkDeadLetters "
                "retryDeadLetter skipDeadLetter resolveDeadLetter backfillDag",
    "admin": "createDag updateDag deleteDag getConfig",
}
EXPECTED = {operation: role for role, operations in LEAST.items() for operation in operations.split()}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A daemon with tokens, and one token of every kind."""
    from support import Daemon
    one = Daemon(tmp_path_factory.mktemp("matrix"), "--require-token")
    one.spawn()
    one.port = int(one.read_line().rsplit(":", 1)[1])

    def command(*arguments):
        done = subprocess.run([pawl_path(), "token", *arguments, "--data", one.data], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=PATIENCE, check=True)
        return done.stdout.strip()

    one.tokens = {role: command("create", "--role", role, "--name", role) for role in ROLES[1:]}
    one.tokens["revoked"] = command("create", "--role", "admin", "--name", "gone")
    one.tokens["expired"] = command("create", "--role", "admin", "--name", "old", "--expires", "1s")
    one.tokens["wrong"] = "pawl_" + "0" * 64
    command("revoke", "gone")
    eventually(lambda: ask(one, "GET", "/api/v1/runs", "expired")[0] in (401, 429), "the token expires")
    eventually(lambda: ask(one, "GET", "/api/v1/runs", "revoked")[0] in (401, 429), "the token is refused")
    yield one
    findings = one.close()
    assert not findings, "\n".join(findings)


sources = itertools.count(2)


def ask(daemon, method, target, kind):
    """Status and code. Each from another address of this machine, so that one's wrong tokens are not another's."""
    number = next(sources)
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=PATIENCE,
                                            source_address=(f"127.1.{number // 250}.{1 + number % 250}", 0))
    headers = {"Authorization": f"Bearer {daemon.tokens[kind]}"} if kind != "none" else {}
    try:
        connection.request(method, target, headers=headers)
        reply = connection.getresponse()
        is_error = reply.status >= 400 and "json" in reply.getheader("Content-Type", "")
        return reply.status, json.loads(reply.read())["code"] if is_error else None
    finally:
        connection.close()


def routes(daemon):
    with_document = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=PATIENCE)
    with_document.request("GET", "/docs/openapi.yaml")
    document = yaml.safe_load(with_document.getresponse().read())
    with_document.close()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in ("get", "post", "put", "delete"):
                yield method.upper(), path, operation["operationId"], operation["x-role"]


def decided(daemon):
    """Without those that the first test below complains about."""
    return (route for route in routes(daemon) if route[2] in EXPECTED)


def fill(path):
    target = path.replace("{taskId}", "t").replace("{file}", "none.js")
    while "{" in target:
        before, _, rest = target.partition("{")
        target = before + str(uuid.UUID(int=0x01936000_0000_7000_8000_000000000000)) + rest.partition("}")[2]
    return target


def test_the_expected_roles_are_those_of_the_table(guarded):
    table = {operation: role for _, _, operation, role in routes(guarded)}
    missing = {name: role for name, role in table.items() if EXPECTED.get(name) != role}
    assert not missing, f"routes that nobody decided on, or with another role than decided: {missing}"
    assert set(EXPECTED) == set(table), f"decided on, but no routes: {set(EXPECTED) - set(table)}"


def test_every_route_with_every_role(guarded):
    """role-matrix"""
    wrong = []
    for method, path, operation, _ in decided(guarded):
        least = ROLES.index(EXPECTED[operation])
        for kind in ROLES:
            status, code = ask(guarded, method, fill(path), kind)
            allowed = ROLES.index(kind) >= least
            refused = (401, "UNAUTHORIZED") if kind == "none" else (403, "FORBIDDEN")
            if allowed != (status not in (401, 403)) or (not allowed and (status, code) != refused):
                wrong.append((method, path, kind, status, code))
            if status >= 500 and operation not in ("getHealth", "getReady"):
                wrong.append((method, path, kind, status, code))
    assert not wrong, wrong


@pytest.mark.parametrize("kind", ["wrong", "expired", "revoked"])
def test_every_route_with_no_token_that_counts(guarded, kind):
    """token-matrix: a token that is none is refused even where none is needed, except on the pages and probes, which look
    at no token at all."""
    wrong = []
    for method, path, operation, _ in decided(guarded):
        answer = ask(guarded, method, fill(path), kind)
        is_open = EXPECTED[operation] == "none"
        if (answer == (401, "UNAUTHORIZED")) == is_open:
            wrong.append((method, path, *answer))
    assert not wrong, wrong


def test_other_methods_of_known_paths_open_nothing(guarded):
    """Whatever is no route is 404 or 405 for everybody, with and without a token."""
    known = {}
    for method, path, _, _ in routes(guarded):
        known.setdefault(path, set()).add(method)
    for path, methods in known.items():
        for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND"} - methods:
            for kind in ("none", "admin"):
                status, _ = ask(guarded, method, fill(path), kind)
                assert status in (400, 404, 405, 501), (method, path, kind, status)
