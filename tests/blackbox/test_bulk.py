"""Many dead letters at once, by the commands."""
import json
import subprocess

from support import dag, pawl_path


def pawl(daemon, *arguments, status=0):
    done = subprocess.run([pawl_path(), *arguments, "--data", daemon.data], text=True, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert done.returncode == status, f"{arguments} gave {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def test_all_letters_of_a_dag(daemon):
    for name, code in (("one", 3), ("one", 4), ("two", 5)):
        yaml = dag({"id": "a", "command": f"exit {code}"}, name=name)
        found = [one for one in daemon.get("/api/v1/dags").json if one["name"] == name]
        if found:
            daemon.send("PUT", f"/api/v1/dags/{found[0]['id']}", {"yaml": yaml})
            made = found[0]
        else:
            made = daemon.post("/api/v1/dags", {"name": name, "yaml": yaml}).json
        run = daemon.post(f"/api/v1/dags/{made['id']}/runs").json["runId"]
        daemon.wait_run(run)
    groups = json.loads(pawl(daemon, "dlq", "groups", "-o", "json").stdout)
    assert [one["count"] for one in groups] == [3]
    assert groups[0]["error"] in pawl(daemon, "dlq", "groups").stdout
    pawl(daemon, "dlq", "retry", status=2)
    pawl(daemon, "dlq", "retry", "x", "--all", status=2)
    pawl(daemon, "dlq", "retry", "x", "--dry-run", status=2)
    assert "2 would" in pawl(daemon, "dlq", "skip", "--all", "--dag", "one", "--dry-run").stderr
    assert "2 of 2 done" in pawl(daemon, "dlq", "resolve", "--all", "--dag", "one", "--notes", "known").stderr
    answer = pawl(daemon, "dlq", "retry", "--all", "--error", groups[0]["error"], "-o", "json").stdout
    assert json.loads(answer) == {"matched": 1, "done": 1, "skipped": 0, "more": False}
