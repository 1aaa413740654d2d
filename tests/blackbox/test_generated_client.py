"""A client that a program generated from the OpenAPI document drives the daemon."""
import json
import os
import subprocess

import pytest
from support import PATIENCE, pawl_path, source_root


def test_a_generated_client_works(daemon, tmp_path):
    made = subprocess.run([os.path.join(source_root(), "tests", "openapi", "client", "generate"), str(tmp_path)],
                          env=dict(os.environ, PAWL=pawl_path()), capture_output=True, text=True, timeout=600,
                          stdin=subprocess.DEVNULL, check=False)
    if made.returncode == 77:
        pytest.skip(made.stderr)
    assert made.returncode == 0, made.stdout + made.stderr
    ran = subprocess.run(["node", str(tmp_path / "drive.js"), f"http://127.0.0.1:{daemon.port}"], capture_output=True,
                         text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {
        "dag": ["generated", 2, 1],
        "twice": "409 DAG_EXISTS",
        "same": True,
        "state": "failed",
        "tasks": [["a/b", "succeeded", 0], ["c", "failed", 3]],
        "log": "hello\n",
        "listed": [True],
        "letters": ["exit"],
        "missing": "404 DAG_NOT_FOUND",
        "version": "string",
    }
