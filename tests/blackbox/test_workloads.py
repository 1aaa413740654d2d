"""Real recorded workflows, each task once and after its dependencies. They lie beside the source tree; without them
these tests are skipped.

    make check        the smaller ones, each task a no-op
    make workloads    all of them, and all again with the recorded durations scaled to 20 s on 8 slots
"""
import json
import os
import subprocess
import sys
from datetime import datetime

import pytest
from support import source_root

WORKLOADS = os.path.join(source_root(), "..", "shared", "workloads")
FULL = os.environ.get("PAWL_WORKLOADS") == "all"
SMALL = 600


def index():
    try:
        with open(os.path.join(WORKLOADS, "index.json"), encoding="utf-8") as file:
            return {one["name"]: one["tasks"] for one in json.load(file)["workloads"]}
    except FileNotFoundError:
        return {}


def cases():
    known = index()
    if not known:
        return [pytest.param("", "", marks=pytest.mark.skip(reason=f"{WORKLOADS} is not there"))]
    return [(name, how) for name, tasks in known.items() for how in ("no-op", "20 s")
            if FULL or (tasks <= SMALL and how == "no-op")]


def tool(*arguments):
    done = subprocess.run([sys.executable, os.path.join(WORKLOADS, "wf2yaml.py"), *arguments], capture_output=True,
                          text=True, timeout=300, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr


def seconds(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


@pytest.mark.parametrize("name,how", cases())
def test_workload(shared, tmp_path, name, how):
    facts = os.path.join(WORKLOADS, f"{name}.facts.yaml")
    yaml, times = tmp_path / "dag.yaml", tmp_path / "run.json"
    scale = ["--noop"] if how == "no-op" else ["--makespan", "20", "--slots", "8"]
    tool("dag", facts, "-o", str(yaml), "--timeout", "10m", *scale)
    run = shared.wait_run(shared.start_run(f"{name} {how}", yaml.read_text(encoding="utf-8")), 900)
    assert run["state"] == "succeeded", run["counts"]
    assert run["counts"]["succeeded"] == index()[name] == len(run["tasks"])
    assert {task["attempt"] for task in run["tasks"]} == {1}
    times.write_text(json.dumps({task["taskId"]: [seconds(task["startedAt"]), seconds(task["completedAt"])]
                                 for task in run["tasks"]}), encoding="utf-8")
    tool("check", facts, str(times))
    elapsed = seconds(run["completedAt"]) - seconds(run["startedAt"])
    print(f"{name} {how}: {len(run['tasks'])} tasks in {elapsed:.2f} s")
