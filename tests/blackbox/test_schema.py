"""The JSON Schema of a DAG file says what the reader says: of every field with values of every kind, of the examples,
and of what others wrote. What a schema cannot know is the reader's alone, by its words (ALONE)."""
import glob
import json
import os
import re
import subprocess

import jsonschema
import pytest
import yaml
from support import pawl_path, source_root

ALONE = re.compile(r"Cycle detected|depends on '|Duplicate task ID|Invalid cron expression|Unknown time zone|"
                   r"must not be shorter than|bytes long|\$\{env\.|JSON has no form|No such variable|"
                   r"is not known|Duplicate key")
KINDS = [None, "", "x", "x y", "5m", "0s", "none", "-5m", "1h30m", "0", 0, 1, -1, 3, 1.5, 101, True, False, [], ["x"],
         ["x", 1, None], [""], [["x"]], [{}], ["x", "x"], {}, {"a": "b"}, {"a": 1, "B": None}, {"1a": "b"},
         {"PAWL_A": "b"},
         {"a": ["b"]}, {"a-b": "c"}, "0 2 * * *", "Europe/Berlin", {"cron": "@daily"}, {"cron": 5}, {"cron": None},
         "http://example.org/", "https:///x", "ftp://x", "HTTP://h/a b", "${env.HOME}/x", "GET", "connect", "get post",
         ".", "..", "a/b", "a\u202eb", "a\nb", "\u0001", "shell", "http", "python", "retry", "fail", "exponential",
         "skip", "latest", "node", {"maxAttempts": 0}, {"maxAttempts": 2, "jitter": 2}, {"timeout": "1x"}, "x" * 300]
BASE = {
    "shell": {"id": "t", "type": "shell", "command": "true"},
    "http": {"id": "t", "type": "http", "url": "http://localhost/"},
    "python": {"id": "t", "type": "python", "script": "x.py"},
}


class Core(yaml.SafeLoader):
    """YAML 1.2's core schema, which PyYAML does not speak."""


Core.yaml_implicit_resolvers = {}
for tag, pattern, first in [("null", r"~|null|Null|NULL|", "~nN"),
                            ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
                            ("int", r"[-+]?[0-9]+", "-+0123456789"),
                            ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
                            ("merge", r"<<", "<")]:
    Core.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"(?:{pattern})$"), list(first) + [""])


def run(*args):
    return subprocess.run([pawl_path(), *args], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
                          check=False)


@pytest.fixture(scope="module", name="schema")
def the_schema():
    done = run("schema")
    assert done.returncode == 0, done.stderr
    schema = json.loads(done.stdout)
    jsonschema.Draft7Validator.check_schema(schema)
    return schema


def read(paths):
    """What `pawl validate` says of each file: its errors."""
    found = {path: [] for path in paths}
    for start in range(0, len(paths), 500):
        done = run("validate", *paths[start:start + 500])
        assert done.returncode in (0, 3), done.stderr
        for line in (done.stdout + done.stderr).splitlines():
            said = re.match(r"(.+?):(?:\d+:\d+:)? error: (.*)", line)
            if said:
                found[said[1]].append(said[2])
    return found


def compare(schema, documents, folder):
    """The reader's verdict and the schema's on each document."""
    validator = jsonschema.Draft7Validator(schema)
    paths = []
    for index, document in enumerate(documents):
        paths.append(os.path.join(folder, f"{index}.yaml"))
        with open(paths[-1], "w", encoding="utf-8") as file:
            json.dump(document, file, ensure_ascii=False)
    wrong, refused = [], 0
    for path, errors in read(paths).items():
        document = documents[int(os.path.basename(path)[:-len(".yaml")])]
        valid = validator.is_valid(document)
        shape = [error for error in errors if not ALONE.search(error)]
        refused += bool(shape)
        if valid and shape:
            wrong.append(f"only the reader refuses {document}: {shape}")
        if not valid and not errors:
            wrong.append(f"only the schema refuses {document}: {next(validator.iter_errors(document)).message}")
    assert not wrong, "\n".join([f"{len(wrong)} differ"] + wrong[:20])
    return refused


def test_it_is_served(schema, daemon):
    answer = daemon.get("/docs/dag.schema.json")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/schema+json"
    assert json.loads(answer.text) == schema


def test_every_field_with_every_kind_of_value(schema, tmp_path):
    documents = []
    for key in schema["properties"]:
        documents += [{"name": "d", "tasks": [BASE["shell"]], key: value} for value in KINDS]
    for key in schema["definitions"]["task"]["properties"]:
        documents += [{"name": "d", "tasks": [{**base, key: value}]} for base in BASE.values() for value in KINDS]
        documents += [{"name": "d", "tasks": [{k: v for k, v in base.items() if k != key}]} for base in BASE.values()]
    for table in ("retry", "schedule", "defaults"):
        for key in schema["definitions"][table]["properties"]:
            base = {"cron": "@daily"} if table == "schedule" else {}
            whole = {"name": "d", "tasks": [BASE["shell"]]}
            for value in KINDS:
                one = {**base, key: value}
                documents.append({**whole, "defaults": {"retry": one}} if table == "retry" else {**whole, table: one})
    assert compare(schema, documents, str(tmp_path)) > 1000


def test_unknown_fields(schema, tmp_path):
    documents = [{"name": "d", "tasks": [BASE["shell"]], "x-notes": {"a": [1]}},
                 {"name": "d", "tasks": [BASE["shell"]], "x-": 1}, {"name": "d", "tasks": [BASE["shell"]], "Name": "d"},
                 {"name": "d", "tasks": [{**BASE["shell"], "dependancies": []}]},
                 {"name": "d", "tasks": [{**BASE["shell"], "x-notes": 1}]},
                 {"name": "d", "tasks": [{**BASE["shell"], "retry": {"attempts": 3}}]},
                 {"name": "d", "tasks": [{**BASE["shell"], "type": "bash"}]}, {"name": "d", "tasks": "x"},
                 {"name": "d", "tasks": []}, {"name": "d"}, {"tasks": [BASE["shell"]]}, [], "x", None]
    assert compare(schema, documents, str(tmp_path)) >= 10


def files_of_others():
    root = source_root()
    return sorted(glob.glob(os.path.join(root, "examples", "*.yaml"))
                  + glob.glob(os.path.join(root, "fuzz", "corpus", "dag", "*"))
                  + glob.glob(os.path.join(root, "..", "shared", "oracles", "dagcheck", "*.yaml"))
                  + glob.glob(os.path.join(root, "..", "shared", "oracles", "yaml-malformed", "*.yaml")))


def test_files(schema):
    """Whatever the reader takes, the schema takes."""
    validator = jsonschema.Draft7Validator(schema)
    taken = 0
    for path, errors in read(files_of_others()).items():
        if errors:
            continue
        with open(path, encoding="utf-8-sig") as file:
            document = yaml.load(file, Loader=Core)
        wrong = [error.message for error in validator.iter_errors(document)]
        assert not wrong, f"{path}: {wrong[:3]}"
        taken += 1
    assert taken >= 5
