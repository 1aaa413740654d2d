"""Requests made from the OpenAPI document that the daemon serves, valid and mutated. Whatever is sent: a documented
status, never a 5xx, a body as its schema says, soon.

`make check` tries a fixed set; PAWL_PROPERTY_EXAMPLES=1000 tries so many of each operation, new ones each time."""
import json
import os
import re
import string
import urllib.parse
import uuid

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings, strategies as st
from support import Client, Daemon, dag, raw_exchange

EXAMPLES = int(os.environ.get("PAWL_PROPERTY_EXAMPLES", "0"))
SETTINGS = settings(max_examples=EXAMPLES or 40, deadline=None, derandomize=not EXAMPLES, database=None,
                    suppress_health_check=list(HealthCheck))
ODD_TEXT = ["", " ", "/", "..", ".", "%", "%2e", "a/b", "\u0000", "\n", "\u202e", "é", "💥", "'", "\"", "${env.X}", "$(id)",
            "a" * 300, "-1", "1e3", "0x10", "null", "true", "00", "NaN"]
YAML_TEXT = [dag({"id": "a", "command": "true"}), "name: x\ntasks:\n- {id: a, type: shell, command: 'true'}\n",
             "", "[", "- a", "a: &a [*a]", "name: x", "tasks: []", "\t", "name: x\ntasks: [{id: a, dependencies: [a]}]",
             "%YAML 1.1\n---\n", "a: b\n---\nc: d\n", "\ufeffname: x", "name: x\ntasks: 7", "{" * 300]


class World:
    """A daemon with one of everything, and its document."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.document = yaml.safe_load(daemon.get("/docs/openapi.yaml").text)
        self.client = Client(daemon.port)
        self.made = 0
        fine = daemon.create("fine", dag({"id": "a", "command": "echo hello"}, {"id": "x/y", "command": "true"}))["id"]
        bad = daemon.create("bad", dag({"id": "a", "command": "exit 3"},
                                       {"id": "b", "command": "true", "dependencies": ["a"]}))["id"]
        good_run = daemon.wait_run(daemon.trigger(fine))
        bad_run = daemon.wait_run(daemon.trigger(bad))
        self.known = {
            "dagId": [fine, bad],
            "runId": [good_run["runId"], bad_run["runId"]],
            "taskId": ["a", "b", "x/y"],
            "workerId": [worker["id"] for worker in daemon.workers()],
            "id": [letter["id"] for letter in daemon.get("/api/v1/dlq").json]
            + [task["taskInstanceId"] for task in good_run["tasks"]],
        }
        self.uuids = [one for ids in self.known.values() for one in ids if len(one) == 36]

    def replace_dag(self, target):
        """After a DELETE another takes its place, so that what is drawn does not depend on what happened."""
        self.made += 1
        fresh = self.daemon.create(f"again{self.made}", dag({"id": "a", "command": "true"}))["id"]
        for ids in (self.known["dagId"], self.uuids):
            for i, one in enumerate(ids):
                if target.endswith(one):
                    ids[i] = fresh


_world = None


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    global _world
    daemon = Daemon(tmp_path_factory.mktemp("openapi")).start()
    _world = World(daemon)
    yield _world
    _world.client.close()
    findings = daemon.close()
    assert not findings, "\n".join(findings)


# ---- schemas ----

def to_json_schema(node):
    """OpenAPI 3.0's `nullable` said as JSON Schema says it."""
    if isinstance(node, list):
        return [to_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    out = {key: to_json_schema(value) for key, value in node.items()}
    if out.pop("nullable", False):
        if "type" in out:
            out["type"] = [out["type"], "null"]
            if "enum" in out and None not in out["enum"]:
                out["enum"].append(None)
        else:
            out = {"anyOf": [out, {"type": "null"}]}
    return out


def validate(document, schema, value):
    full = dict(to_json_schema(schema), components=to_json_schema(document["components"]))
    checker = jsonschema.FormatChecker()
    checker.checks("uuid")(lambda text: not isinstance(text, str) or bool(uuid.UUID(text)))
    checker.checks("date-time")(
        lambda text: not isinstance(text, str) or bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)))
    jsonschema.Draft4Validator(full, format_checker=checker).validate(value)


def all_operations():
    """Named without a daemon, so that each is a test of its own."""
    import subprocess
    from support import pawl_path
    text = subprocess.run([pawl_path(), "openapi"], capture_output=True, check=True, timeout=60).stdout
    document = yaml.safe_load(text)
    return sorted((operation["operationId"], path, method) for path, item in document["paths"].items()
                  for method, operation in item.items() if method in ("get", "post", "put", "delete"))


# ---- what to send ----

def scalar(schema, known):
    """(text, whether it is valid by the schema; None: this test does not say)"""
    kind = schema.get("type")
    if "enum" in schema:
        good = st.sampled_from(schema["enum"]).map(lambda text: (text, True))
        return good | st.sampled_from(ODD_TEXT).map(lambda text: (text, text in schema["enum"]))
    if kind == "integer":
        least, most = schema.get("minimum", 0), schema.get("maximum", 2 ** 63 - 1)
        edge = st.sampled_from([least, most, least - 1, most + 1, 0, -1, 2 ** 63, 2 ** 64 + 1])
        number = (edge | st.integers(least, most)).map(lambda n: (str(n), least <= n <= most))
        return number | st.sampled_from(["", "x", "1.5", "1 ", "0x1", "--1"]).map(lambda text: (text, False))
    if kind == "boolean":
        return st.sampled_from([("true", True), ("false", True), ("maybe", False), ("", False)])
    if schema.get("format") == "uuid":
        good = st.sampled_from(known) | st.uuids().map(str)
        return good.map(lambda text: (text, True)) | st.sampled_from(
            ["", "x", "0", known[0][:-1], known[0] + "0", "{" + known[0] + "}", "g" * 36]).map(lambda text: (text, False))
    return (st.sampled_from(ODD_TEXT) | st.text(max_size=50)).map(lambda text: (text, None))


def body_of(schema, document):
    """A JSON body by the schema's own members, some of them wrong: (value, whether it is valid)."""
    schema = resolve(schema, document)
    members = schema.get("properties", {})
    required = set(schema.get("required", []))

    def member(name, part):
        if name == "yaml":
            return st.sampled_from(YAML_TEXT).map(lambda text: (text, None))
        return scalar(part, ["x"]).filter(lambda pair: len(pair[0]) <= part.get("maxLength", 10_000))

    values = st.fixed_dictionaries({name: member(name, part) for name, part in members.items() if name in required},
                                   optional={n: member(n, p) for n, p in members.items() if n not in required})
    good = values.map(lambda made: ({name: value for name, (value, _) in made.items()},
                                    None if any(ok is not True for _, ok in made.values()) else True))
    wrong = st.tuples(values, st.sampled_from(["extra", "type", "missing", "list"])).map(
        lambda pair: (spoil(pair[0], pair[1], required), False))
    return good | wrong


def spoil(made, how, required):
    value = {name: text for name, (text, _) in made.items()}
    if how == "missing" and required:
        value.pop(sorted(required)[0], None)
    elif how == "type" and value:
        value[sorted(value)[0]] = 7
    elif how == "list":
        return [value]
    else:
        value["noSuchMember"] = 1
    return value


def resolve(schema, document):
    while "$ref" in schema:
        part = document
        for name in schema["$ref"].removeprefix("#/").split("/"):
            part = part[name]
        schema = part
    return schema


RAW_BODIES = [b"", b"{", b"null", b"[]", b"\xff\xfe", b'{"yaml": "a", "yaml": "b"}', b'"x"', b"{}x", b"{}", b"[" * 5000,
              b'{"name": "\\u0000", "yaml": ""}', b'{"name": "\\ud800", "yaml": ""}', b'{"a": 1e999}', b" {} "]


@st.composite
def request(draw, world, path, method):
    """(target, headers, body, validity: True, False or None for what the schema does not decide)"""
    operation = world.document["paths"][path][method]
    parameters = world.document["paths"][path].get("parameters", []) + operation.get("parameters", [])
    parameters = [resolve(parameter, world.document) for parameter in parameters]
    target, query, headers, validity = path, [], {}, []
    for parameter in parameters:
        name, place = parameter["name"], parameter["in"]
        schema = resolve(parameter["schema"], world.document)
        if place == "path":
            text, valid = draw(scalar(schema, world.known.get(name, world.uuids)))
            if draw(st.booleans()) and name in world.known:
                text, valid = draw(st.sampled_from(world.known[name])), True
            target = target.replace("{%s}" % name, urllib.parse.quote(text, safe=""))
            validity.append(valid if text not in ("", ".", "..") else None)
        elif place == "query" and draw(st.booleans()):
            text, valid = draw(scalar(schema, world.uuids))
            query.append((name, text))
            validity.append(valid)
        elif place == "header" and draw(st.booleans()):
            text = draw(st.text(string.ascii_letters + string.digits + '-"*, ', min_size=1, max_size=300))
            headers[name] = text
            validity.append(None)
    if draw(st.integers(0, 19)) == 0:
        query.append(("noSuchParameter", "1"))
        validity.append(False)
    if query:
        target += "?" + urllib.parse.urlencode(query)
    body = None
    if "requestBody" in operation:
        content = resolve(operation["requestBody"], world.document)["content"]["application/json"]
        kind = draw(st.sampled_from(["schema"] * 8 + ["raw", "none", "type"]))
        value, valid = draw(body_of(content["schema"], world.document))
        body = json.dumps(value).encode()
        headers["Content-Type"] = "application/json"
        if kind == "raw":
            body, valid = draw(st.sampled_from(RAW_BODIES) | st.binary(max_size=100)), None
        elif kind == "none":
            body, valid = None, None
            del headers["Content-Type"]
        elif kind == "type":
            headers["Content-Type"] = draw(st.sampled_from(["text/plain", "application/xml", "x"]))
            valid = None
        validity.append(valid)
    elif draw(st.integers(0, 9)) == 0:
        body = b"{}"
        validity.append(None)
    overall = False if False in validity else (None if None in validity else True)
    return target, headers, body, overall


def exchange(world, method, target, headers, body):
    """The answer; of an answer without an end its head and nothing more."""
    client = world.client
    connection = client.connection
    try:
        connection.request(method.upper(), target, body, headers)
        reply = connection.getresponse()
        if reply.getheader("Content-Type") == "text/event-stream":
            client.close()
            return reply, b""
        return reply, reply.read()
    except Exception:
        client.close()
        raise


@pytest.mark.parametrize("operation,path,method", all_operations())
def test_operation(world, operation, path, method):
    document = world.document
    described = document["paths"][path][method]
    assert described["operationId"] == operation

    @SETTINGS
    @given(st.data())
    def check(data):
        target, headers, body, valid = data.draw(request(world, path, method))
        reply, raw = exchange(world, method, target, headers, body)
        note = f"{method.upper()} {target} {headers} {body!r} -> {reply.status} {raw[:1000]!r}"
        assert reply.status < 500, note
        if reply.status == 304 or (reply.status in (404, 405) and known_elsewhere(document, path, target)):
            return
        assert str(reply.status) in described["responses"], "undocumented: " + note
        answer = resolve(described["responses"][str(reply.status)], document)
        if reply.status == 204:
            assert raw == b"" and "content" not in answer, note
            if operation == "deleteDag":
                world.replace_dag(target)
            return
        kind = reply.getheader("Content-Type")
        assert kind in answer["content"] or kind.split(";")[0] in {k.split(";")[0] for k in answer["content"]}, note
        if kind.startswith("application/json"):
            schema = answer["content"]["application/json"]["schema"]
            try:
                validate(document, schema, json.loads(raw))
            except jsonschema.ValidationError as error:
                raise AssertionError(f"{error.message} at {list(error.absolute_path)}: {note}") from None
        if valid is False:
            assert reply.status >= 400, "taken though it is not valid: " + note
        if valid is True and method == "get":
            assert reply.status != 400, "refused though it is valid: " + note

    check()


def known_elsewhere(document, path, target):
    """The value of a path parameter made the target one of another route, or of none: `/dlq/stats`, an empty segment."""
    raw = target.split("?")[0]
    pattern = "/".join("[^/]+" if part.startswith("{") else re.escape(part) for part in path.split("/"))
    return not re.fullmatch(pattern, raw) or raw in document["paths"] or "/." in raw


def test_every_route_answers_options_and_head(world):
    for path, item in world.document["paths"].items():
        target = path
        for name, values in world.known.items():
            target = target.replace("{%s}" % name, urllib.parse.quote(values[0], safe=""))
        answer = world.daemon.send("OPTIONS", target)
        assert answer.status == 204, (target, answer)
        allowed = set(re.split(r",\s*", answer.headers["allow"]))
        assert {method.upper() for method in item if method in ("get", "post", "put", "delete")} <= allowed
        if "get" not in item or "events" in path:
            continue
        head, got = world.daemon.send("HEAD", target), world.daemon.send("GET", target)
        assert head.body == b"" and head.status == got.status, (target, head, got)
        assert head.headers["content-type"] == got.headers["content-type"]


def test_wrong_methods_say_what_is_allowed(world):
    for path, item in world.document["paths"].items():
        for method in ("get", "post", "put", "delete", "patch"):
            if method in item:
                continue
            target = path
            for name, values in world.known.items():
                target = target.replace("{%s}" % name, urllib.parse.quote(values[0], safe=""))
            answer = world.daemon.send(method.upper(), target)
            assert answer.status == 405 and answer.code == "METHOD_NOT_ALLOWED", (method, target, answer)
            assert method.upper() not in answer.headers["allow"]


def test_the_document_is_the_commands(world):
    import subprocess
    from support import pawl_path
    printed = subprocess.run([pawl_path(), "openapi"], capture_output=True, check=True, timeout=60).stdout
    assert printed.decode() == world.daemon.get("/docs/openapi.yaml").text
    assert world.document["openapi"] == "3.0.3"


def test_a_library_without_our_clients_habits(world):
    """The document is served to whoever asks with as little as HTTP/1.0."""
    received = raw_exchange(world.daemon.port, b"GET /docs/openapi.yaml HTTP/1.0\r\n\r\n")
    head, _, body = received.partition(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0] and yaml.safe_load(body) == world.document
