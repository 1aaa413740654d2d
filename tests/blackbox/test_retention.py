"""Retention: old runs go with their logs, what somebody needs stays, deaths and backups leave no file behind."""
import fcntl
import os
import subprocess

from support import dag, eventually, pawl_path

LOUD = "i=0; while [ $i -lt 400 ]; do echo line $i of a log that is a file; i=$((i+1)); done"


def log_folders(daemon):
    return {run for _, folders, _ in os.walk(os.path.join(daemon.data, "logs")) for run in folders if len(run) == 36}


def is_gone(daemon, run_id):
    return daemon.send("GET", f"/api/v1/runs/{run_id}").status == 404


def fsck(daemon):
    done = subprocess.run([pawl_path(), "fsck", "--data", daemon.data], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr


def metric(daemon, kind):
    name = f'scheduler_retention_removed_total{{kind="{kind}"}} '
    return next(int(line.removeprefix(name)) for line in daemon.get("/metrics").text.splitlines()
                if line.startswith(name))


def make_runs(daemon, count, command=LOUD):
    made = daemon.create("loud", dag({"id": "a", "command": command}, {"id": "b", "command": "echo short"}))
    runs = [daemon.trigger(made["id"]) for _ in range(count)]
    for run in runs:
        daemon.wait_run(run)
    return runs


def test_the_oldest_go_with_their_logs(make_daemon):
    daemon = make_daemon().start()
    failed = daemon.start_run("failing", dag({"id": "f", "command": "exit 3"}))
    daemon.wait_run(failed)
    runs = make_runs(daemon, 6)
    assert set(runs) == log_folders(daemon)
    daemon.stop()
    daemon.start("--keep-runs", "3")
    eventually(lambda: metric(daemon, "run") == 4, "four runs to go")
    assert [is_gone(daemon, run) for run in runs] == [True] * 4 + [False] * 2
    assert not is_gone(daemon, failed)  # its dead letter is pending
    assert len(daemon.get(f"/api/v1/dlq?dagId={daemon.run(failed)['dagId']}").json) == 1
    eventually(lambda: log_folders(daemon) == set(runs[4:]), "the logs to go")
    assert metric(daemon, "attempt") == 8
    assert daemon.log_of(runs[5], "a").endswith("line 399 of a log that is a file\n")
    assert daemon.log_of(runs[4], "b") == "short\n"
    daemon.stop()
    fsck(daemon)


def test_a_backup_and_a_death_in_between(make_daemon):
    """While somebody holds the backup's lock no log goes; rows that are gone and a kill leave nothing behind."""
    daemon = make_daemon().start()
    runs = make_runs(daemon, 4)
    daemon.stop()
    with open(os.path.join(daemon.data, "backup.lock"), "w+", encoding="ascii") as lock:
        fcntl.lockf(lock, fcntl.LOCK_SH)
        daemon.start("--keep-runs", "1")
        eventually(lambda: metric(daemon, "run") == 3, "three runs to go")
        assert is_gone(daemon, runs[0]) and log_folders(daemon) == set(runs)
        daemon.kill()
    daemon.start()
    eventually(lambda: log_folders(daemon) == {runs[3]}, "the logs to go")
    daemon.stop()
    fsck(daemon)


def test_an_active_rerun_keeps_its_source(make_daemon, gate):
    daemon, there = make_daemon().start(), gate()
    source = make_runs(daemon, 1, f"{LOUD}; test -e ok || exit 1; {there.command()}")[0]
    letter = daemon.get("/api/v1/dlq").json[0]
    with open(os.path.join(daemon.data, "work", "ok"), "w", encoding="ascii"):
        pass
    rerun = daemon.post(f"/api/v1/dlq/{letter['id']}/retry", {}, 202).json["runId"]
    there.wait_arrival()
    daemon.signal(9)
    daemon.wait()
    daemon.start("--keep-runs", "1", "--keep-bytes", "1KiB")
    other = daemon.execute("other", dag({"id": "x", "command": "true"}))["runId"]
    daemon.kill()
    daemon.start("--keep-age", "500ms", "--keep-bytes", "1KiB")
    eventually(lambda: is_gone(daemon, other), "what nobody needs to go")
    assert not is_gone(daemon, source) and not is_gone(daemon, rerun)
    assert daemon.log_of(source, "a").endswith("line 399 of a log that is a file\n")
    there.open()
    assert daemon.wait_run(rerun)["state"] == "succeeded"
    daemon.stop()
    daemon.start("--keep-bytes", "1KiB")
    eventually(lambda: is_gone(daemon, source), "the source to go")
    daemon.stop()
    fsck(daemon)


def test_pawl_run_keeps_house_too(make_daemon, tmp_path):
    daemon = make_daemon()  # for its folder
    path = tmp_path / "d.yaml"
    path.write_text(dag({"id": "a", "command": LOUD}))
    for _ in range(3):
        subprocess.run([pawl_path(), "run", str(path), "--data", daemon.data, "--keep-runs", "1"], check=True,
                       stdin=subprocess.DEVNULL, capture_output=True)
    listed = subprocess.run([pawl_path(), "runs", "list", "--data", daemon.data, "-o", "json"], check=True,
                            stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert listed.stdout.count('"runId"') <= 2


def test_a_dag_says_what_is_kept(make_daemon):
    """Its latest version, for its own runs; without a limit of the daemon's for all."""
    daemon = make_daemon().start("--keep-age", "0s", "--keep-runs", "0", "--keep-bytes", "0")
    tasks = [{"id": "a", "command": LOUD}]
    few = daemon.create("few", dag(*tasks))
    all_of_it = daemon.create("all", dag(*tasks, keep={"age": "none"}))
    runs = [daemon.trigger(few["id"]) for _ in range(5)]
    others = [daemon.trigger(all_of_it["id"]) for _ in range(2)]
    for run in runs + others:
        daemon.wait_run(run)
    changed = daemon.send("PUT", f"/api/v1/dags/{few['id']}", {"yaml": dag(*tasks, keep={"runs": 2})})
    assert changed.status == 200, changed
    eventually(lambda: metric(daemon, "run") == 3, "three runs to go")
    assert [is_gone(daemon, run) for run in runs] == [True] * 3 + [False] * 2
    eventually(lambda: log_folders(daemon) == {*runs[3:], *others}, "the logs to go")
    daemon.stop()
    # a shorter age of the daemon's is not meant for a DAG that has its own
    daemon.start("--keep-age", "1ms", "--keep-runs", "0", "--keep-bytes", "0")
    eventually(lambda: all(is_gone(daemon, run) for run in runs), "the others to go")
    assert not any(is_gone(daemon, run) for run in others)
    daemon.stop()
    fsck(daemon)


def test_what_is_no_retention(daemon):
    for keep, word in (({"age": "soon"}, "Invalid duration"), ({"runs": 0}, "runs"), ({"days": 3}, "did you mean 'age'"),
                       ([1], "mapping")):
        answer = daemon.post("/api/v1/dags", {"name": "x", "yaml": dag({"id": "a", "command": "true"}, keep=keep)})
        assert answer.status == 400 and word in answer.text, answer.text


def test_dead_letters_have_limits_of_their_own(make_daemon):
    """The settled ones first; a pending one only by these limits, and not unseen. Its run stays."""
    daemon = make_daemon().start()
    made = daemon.create("fails", dag({"id": "f", "command": "exit 3"}))
    runs = []
    for _ in range(4):
        runs.append(daemon.trigger(made["id"]))
        daemon.wait_run(runs[-1])
    letters = [letter["id"] for letter in reversed(daemon.get("/api/v1/dlq").json)]
    daemon.post(f"/api/v1/dlq/{letters[2]}/resolve", {"notes": "seen"}, 204)
    daemon.stop()
    daemon.start("--keep-letters", "3")
    eventually(lambda: metric(daemon, "dead_letter") == 1, "a dead letter to go")
    assert {letter["id"] for letter in daemon.get("/api/v1/dlq").json} == {letters[0], letters[1], letters[3]}
    assert metric(daemon, "pending_dead_letter") == 0 and "pending dead letter" not in daemon.log()
    daemon.stop()
    daemon.start("--keep-letters", "1")
    eventually(lambda: metric(daemon, "pending_dead_letter") == 2, "two dead letters to go")
    eventually(lambda: "pending dead letters went" in daemon.log(), "a word of it")
    assert [letter["id"] for letter in daemon.get("/api/v1/dlq").json] == [letters[3]]
    assert daemon.get("/api/v1/dlq/stats").json["pending"] == 1
    assert daemon.post(f"/api/v1/dlq/{letters[0]}/retry", {}).status == 404
    assert not any(is_gone(daemon, run) for run in runs)
    daemon.stop()
    daemon.start("--keep-letters-age", "1ms", "--keep-age", "1ms")
    eventually(lambda: metric(daemon, "run") == 4, "the runs to go with the last of them")
    daemon.stop()
    fsck(daemon)
