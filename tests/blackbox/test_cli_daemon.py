"""Commands that talk to a daemon."""
import json
import os
import re
import signal
import subprocess
import uuid

import pytest
from cli_support import Shell, Terminal, home_env, pawl_path
from support import dag, eventually


class DaemonShell(Shell):
    """pawl(...) of one daemon's directory."""

    def __init__(self, home, daemon):
        super().__init__(home)
        self.daemon = daemon

    def __call__(self, *arguments, env=None, **options):
        return super().__call__(*arguments, env={"PAWL_DATA": self.daemon.data, **(env or {})}, **options)

    def apply(self, *tasks, **fields):
        """A new DAG's name."""
        name = fields.pop("name", f"d-{uuid.uuid4().hex[:12]}")
        self("dags", "apply", self.file(f"{name}.yaml", dag(*tasks, name=name, **fields)), status=0)
        return name

    def spawn(self, *arguments):
        return subprocess.Popen([pawl_path(), *arguments], env=home_env(self.home, PAWL_DATA=self.daemon.data),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.home)


@pytest.fixture
def pawl(tmp_path, shared):
    return DaemonShell(tmp_path, shared)


ONE = {"id": "a", "command": "echo hello"}
BREAKS = {"id": "breaks", "command": "echo last words; exit 3"}


# ---- dags ----

def test_apply_creates_updates_and_leaves_alone(pawl):
    path = pawl.file("d.yaml", dag(ONE, name="applied"))
    done = pawl("dags", "apply", path, status=0)
    dag_id = done.stdout.strip()
    assert str(uuid.UUID(dag_id)) == dag_id
    assert done.stderr == "pawl: applied created, version 1\n"
    assert pawl("dags", "apply", path, status=0).stderr == "pawl: applied unchanged, version 1\n"
    pawl.file("d.yaml", dag({**ONE, "command": "echo more"}, name="applied"))
    done = pawl("dags", "apply", path, "-o", "json", status=0)
    assert json.loads(done.stdout)["version"] == 2 and json.loads(done.stdout)["id"] == dag_id
    assert re.search(rf"^{dag_id[-8:]}  applied +1  -  +2  ", pawl("dags", status=0).stdout, re.M)
    assert json.loads(pawl("dags", "show", "applied", "-o", "json", status=0).stdout)["id"] == dag_id
    assert "echo more" in pawl("dags", "show", dag_id[-8:], "--source", status=0).stdout
    assert "version           2\n" in pawl("dags", "show", dag_id[:23], status=0).stdout


def test_pause_resume_delete(pawl):
    name = pawl.apply(ONE, schedule="0 3 * * *")
    pawl("dags", "pause", name, status=0)
    assert re.search(rf"  {name}  .*\(paused\)", pawl("dags", "list", "-n", "1000", status=0).stdout)
    pawl("dags", "resume", name, status=0)
    assert not re.search(rf"  {name}  .*\(paused\)", pawl("dags", "list", "-n", "1000", status=0).stdout)
    pawl("dags", "delete", name, status=0)
    pawl("dags", "show", name, status=4)


def test_a_dag_that_does_not_exist_is_4_with_the_nearest(pawl):
    name = pawl.apply(ONE, name="nightly-load")
    done = pawl("trigger", "nigthly-load", status=4)
    assert f"did you mean '{name}'?" in done.stderr


def test_delete_with_an_active_run_is_5(pawl, gate):
    waits = gate()
    name = pawl.apply({"id": "a", "command": waits.command()})
    run = pawl("trigger", name, status=0).stdout.strip()
    waits.wait_arrival()
    assert "active runs" in pawl("dags", "delete", name, status=5).stderr
    waits.open()
    pawl("runs", "watch", run, status=0)


# ---- runs ----

def test_trigger_prints_the_id_and_wait_follows(pawl):
    name = pawl.apply(ONE)
    done = pawl("trigger", name, status=0)
    run = done.stdout.strip()
    assert str(uuid.UUID(run)) == run
    done = pawl("runs", "watch", run, status=0)
    assert re.search(rf"run {run[-8:]} of {name} succeeded: 1 succeeded", done.stdout)
    done = pawl("trigger", name, "--wait", status=0)
    assert str(uuid.UUID(done.stdout.strip()))
    assert "succeeded: 1 succeeded" in done.stderr
    done = pawl("trigger", name, "--wait", "-o", "json", status=0)
    assert json.loads(done.stdout)["state"] == "succeeded"
    assert json.loads(pawl("trigger", name, "-o", "json", status=0).stdout)["triggeredBy"] == "cli"


def test_a_failed_run_is_1_with_its_cause(pawl):
    name = pawl.apply(BREAKS)
    done = pawl("trigger", name, "-w", status=1)
    assert re.search(r"^  breaks failed: .*3", done.stderr, re.M)
    assert "    | last words\n" in done.stderr
    run = done.stdout.strip()
    shown = pawl("runs", "show", run[-8:], status=0).stdout
    assert re.search(r"^state +failed$", shown, re.M)
    assert re.search(r"^breaks  failed  ", shown, re.M)
    assert not re.search(r"^breaks ", pawl("runs", "show", run, "--state", "succeeded", status=0).stdout, re.M)
    assert pawl("runs", "watch", run, status=1).stdout.endswith("\n")
    assert run in pawl("runs", "list", "--dag", name, "--state", "failed", "-o", "json", status=0).stdout
    assert run not in pawl("runs", "list", "--dag", name, "--state", "running", "-o", "json", status=0).stdout
    for fits in (["--state", "failed", "--state", "running"], ["--by", "cli", "--by", "api"], ["--after", "2001-01-01T00:00:00Z"],
                 ["--before", "2101-01-01T00:00:00Z", "--state", "failed"], ["--error", "TASK"]):
        assert run in pawl("runs", "list", *fits, "-o", "json", status=0).stdout, fits
    for other in (["--by", "schedule"], ["--before", "2001-01-01T00:00:00Z"], ["--error", "no such & text"]):
        assert run not in pawl("runs", "list", *other, "-o", "json", status=0).stdout, other
    pawl("runs", "list", "--after", "yesterday", status=2)


def test_waiting_times_out_with_124_and_the_run_goes_on(pawl, gate):
    waits = gate()
    name = pawl.apply({"id": "a", "command": waits.command()})
    done = pawl("trigger", name, "--wait", "--timeout", "1ms", status=124)
    run = done.stdout.strip()
    assert "the run has not ended; it goes on" in done.stderr
    waits.wait_arrival()
    waits.open()
    pawl("runs", "watch", run, status=0)
    assert "--timeout needs --wait" in pawl("trigger", name, "--timeout", "1s", status=2).stderr


def test_the_same_key_gives_the_same_run(pawl):
    name, key = pawl.apply(ONE), str(uuid.uuid4())
    first = pawl("trigger", name, "--idempotency-key", key, status=0).stdout
    assert pawl("trigger", name, "--idempotency-key", key, status=0).stdout == first
    assert pawl("trigger", name, "--idempotency-key", key + "x", status=0).stdout != first


def test_cancel_and_its_conflict(pawl, gate):
    waits = gate()
    name = pawl.apply({"id": "a", "command": waits.command()})
    run = pawl("trigger", name, status=0).stdout.strip()
    waits.wait_arrival()
    pawl("runs", "cancel", run[-8:], status=0)
    assert "canceled: 1 canceled" in pawl("runs", "watch", run, status=1).stdout
    assert "canceled" in pawl("runs", "cancel", run, status=5).stderr


def test_rerun_keeps_what_succeeded(pawl):
    name = pawl.apply(ONE, {**BREAKS, "dependencies": ["a"]})
    run = pawl("trigger", name, "--wait", status=1).stdout.strip()
    again = pawl("runs", "rerun", run, "--wait", status=1).stdout.strip()
    assert "kept from an earlier run" in pawl("runs", "show", again, status=0).stdout
    other = pawl("runs", "rerun", run, "--task", "a", "-w", status=1).stdout.strip()
    assert "kept" not in pawl("runs", "show", other, status=0).stdout
    pawl("runs", "rerun", run, "--from", "all", "-w", status=1)
    assert "exclude each other" in pawl("runs", "rerun", run, "--from", "all", "--task", "a", status=2).stderr
    assert "did you mean 'failed'?" in pawl("runs", "rerun", run, "--from", "fialed", status=2).stderr


def test_watch_tells_each_change_as_it_comes(pawl, gate):
    first, second = gate("first"), gate("second")
    name = pawl.apply({"id": "a", "command": first.command()},
                      {"id": "b", "command": second.command("exit 4"), "dependencies": ["a"]})
    run = pawl("trigger", name, status=0).stdout.strip()
    first.wait_arrival()
    watch = pawl.spawn("runs", "watch", run)
    assert re.fullmatch(rf"run {run} of {name}: 1 running, 1 pending\n", watch.stdout.readline())
    first.open()
    lines = iter(watch.stdout.readline, "")
    assert any(re.match(r"a: succeeded after ", line) for line in lines)
    second.wait_arrival()
    second.open()
    rest = watch.communicate(timeout=90)[0]
    assert re.search(r"^b: failed after \S+: .*4", rest, re.M)
    assert re.search(r"failed: 1 succeeded, 1 failed", rest)
    assert watch.returncode == 1


def test_ctrl_c_ends_the_watching_not_the_run(pawl, gate):
    waits = gate()
    name = pawl.apply({"id": "a", "command": waits.command()})
    run = pawl("trigger", name, status=0).stdout.strip()
    waits.wait_arrival()
    terminal = Terminal([pawl_path(), "runs", "watch", run], home_env(pawl.home, PAWL_DATA=pawl.daemon.data), pawl.home)
    terminal.wait_for(rb"0/1 done")
    terminal.type("\x03")
    assert terminal.finish() == 130
    assert b"the run goes on" in terminal.output
    assert pawl.daemon.run(run)["state"] == "running"
    waits.open()
    pawl("runs", "watch", run, status=0)


# ---- logs and reasons ----

def test_logs_of_tasks_and_attempts(pawl):
    name = pawl.apply(ONE, {"id": "z/ü", "command": "echo $PAWL_ATTEMPT; test $PAWL_ATTEMPT = 2",
                            "retry": {"maxAttempts": 2, "initialDelay": "1ms"}})
    run = pawl("trigger", name, "-w", status=0).stdout.strip()
    assert pawl("logs", run, "a", status=0).stdout == "hello\n"
    assert pawl("logs", run, "z/ü", status=0).stdout == "2\n"
    assert pawl("logs", run, "z/ü", "--attempt", "1", status=0).stdout == "1\n"
    assert pawl("logs", run, status=0).stdout == "==> a <==\nhello\n\n==> z/ü <==\n2\n"
    assert "--attempt needs a TASK" in pawl("logs", run, "--attempt", "1", status=2).stderr
    pawl("logs", run, "nothing", status=4)


def test_logs_follow_a_task_until_it_ends(pawl, gate):
    waits = gate()
    name = pawl.apply({"id": "a", "command": "echo first; " + waits.command("echo second")})
    run = pawl("trigger", name, status=0).stdout.strip()
    waits.wait_arrival()
    follow = pawl.spawn("logs", run, "a", "-f")
    assert follow.stdout.readline() == "first\n"
    waits.open()
    assert follow.communicate(timeout=90)[0] == "second\n"
    assert follow.returncode == 0


def test_logs_follow_a_whole_run(pawl, gate):
    waits = gate()
    name = pawl.apply({"id": "a", "command": "echo one; " + waits.command("echo two")},
                      {"id": "b", "command": "echo three; printf four", "dependencies": ["a"]})
    run = pawl("trigger", name, status=0).stdout.strip()
    waits.wait_arrival()
    follow = pawl.spawn("logs", run, "-f")
    assert follow.stdout.readline() == "a | one\n"
    waits.open()
    assert follow.communicate(timeout=90)[0].splitlines() == ["a | two", "b | three", "b | four"]
    assert follow.returncode == 0
    assert pawl("logs", run, "-f", status=0).stdout.splitlines() == ["a | one", "a | two", "b | three", "b | four"]


def test_logs_follow_puts_dependencies_first(pawl):
    """Also of a run that is over, and when the file names them in another order."""
    name = pawl.apply({"id": "c", "command": "echo c", "dependencies": ["b"]},
                      {"id": "b", "command": "seq 3000; sleep 0.01", "dependencies": ["a"]},
                      {"id": "a", "command": "seq 2000; sleep 0.01"})
    run = pawl("trigger", name, status=0).stdout.strip()
    for _ in range(2):
        lines = pawl("logs", run, "-f", status=0).stdout.splitlines()
        assert lines == [f"a | {i}" for i in range(1, 2001)] + [f"b | {i}" for i in range(1, 3001)] + ["c | c"]


def test_why_says_what_a_task_waits_for(pawl, gate):
    waits = gate()
    name = pawl.apply({"id": "first", "command": waits.command()},
                      {"id": "second", "command": "true", "dependencies": ["first"]})
    run = pawl("trigger", name, status=0).stdout.strip()
    waits.wait_arrival()
    said = pawl("why", run, "second", status=0).stdout
    assert re.search(r"^state +pending$", said, re.M) and re.search(r"^dependencies +first  running$", said, re.M)
    assert json.loads(pawl("why", run, "second", "-o", "json", status=0).stdout)["taskId"] == "second"
    assert "did you mean 'second'?" in pawl("why", run, "secnod", status=4).stderr
    waits.open()
    pawl("runs", "watch", run, status=0)


# ---- workers, health, dead letters ----

def test_workers_cluster_health(pawl):
    table = pawl("workers", status=0).stdout
    assert table.splitlines()[0].split() == ["WORKER", "STATUS", "RUNNING", "QUEUED", "SLOTS", "HOST"]
    worker = table.splitlines()[1].split()[0]

    def is_draining():
        return re.search(rf"^{worker}  draining", pawl("workers", status=0).stdout, re.M)

    # The list may be 100 ms behind (G15).
    pawl("workers", "drain", worker, status=0)
    eventually(is_draining, "the worker drains")
    pawl("workers", "resume", worker, status=0)
    eventually(lambda: not is_draining(), "the worker takes work again")
    pawl("workers", "drain", "ffffffff", status=4)
    assert "leader id" in pawl("cluster", status=0).stdout
    assert json.loads(pawl("cluster", "-o", "json", status=0).stdout)["nodes"]
    assert pawl("health", status=0).stdout
    assert json.loads(pawl("health", "-o", "json", status=0).stdout)


def test_dead_letters(pawl):
    name = pawl.apply(BREAKS, {"id": "after", "command": "true", "dependencies": ["breaks"]})

    def letter():
        run = pawl("trigger", name, "-w", status=1).stdout.strip()
        letters = json.loads(pawl("dlq", "list", "--dag", name, "--status", "pending", "-o", "json", status=0).stdout)
        return next(item["id"] for item in letters if item["runId"] == run)

    one = letter()
    assert re.search(rf"^{one[-8:]}  pending +\S+ +breaks ", pawl("dlq", status=0).stdout, re.M)
    shown = pawl("dlq", "show", one[-8:], status=0).stdout
    assert "last words" in shown
    assert "pending" in pawl("dlq", "stats", status=0).stdout
    pawl("dlq", "retry", one[-8:], "--wait", status=1)
    pawl("dlq", "retry", one[-8:], status=5)
    two = letter()
    done = pawl("dlq", "skip", two, "--reason", "done by hand", "-w", status=0)
    assert "1 succeeded, 1 skipped" in done.stderr
    assert "done by hand" in pawl("dlq", "show", two, status=0).stdout
    three = letter()
    pawl("dlq", "resolve", three, "--notes", "not needed", "--by", "me", status=0)
    assert json.loads(pawl("dlq", "show", three, "-o", "json", status=0).stdout)["resolvedBy"] == "me"
    pawl("dlq", "show", "ffffffff", status=4)
    pawl("dlq", "retry", letter(), "--command", "[ $A$B = 1x=y ]", "--env", "A=1", "--env", "B=x=y", "-w", status=0)
    pawl("dlq", "retry", "--all", "--command", "true", status=2)
    pawl("dlq", "retry", one, "--env", "=x", status=2)


# ---- finding the daemon ----

def test_the_server_option_and_variable(pawl, tmp_path):
    url = f"http://127.0.0.1:{pawl.daemon.port}"
    elsewhere = Shell(tmp_path)
    assert elsewhere("health", "--server", url, status=0).stdout
    assert elsewhere("health", "--server", url + "/", status=0).stdout
    assert elsewhere("health", env={"PAWL_SERVER": url}, status=0).stdout
    elsewhere("health", status=7)


def test_candidates_for_completion(pawl):
    name = pawl.apply(ONE)
    assert name in pawl("candidates", "dags", status=0).stdout.splitlines()
    run = pawl("trigger", name, status=0).stdout.strip()
    assert run[-8:] in pawl("candidates", "runs", status=0).stdout.splitlines()
    assert pawl("candidates", "workers", status=0).stdout


def test_runs_of_pawl_run_are_listed_beside_the_daemons(make_daemon, tmp_path):
    daemon = make_daemon().start()
    pawl = DaemonShell(tmp_path, daemon)
    name = pawl.apply(ONE)
    of_daemon = pawl("trigger", name, "-w", status=0).stdout.strip()
    of_run = pawl("run", pawl.file("one.yaml", dag(ONE, name=name)), status=0).stdout.split()[1]
    listed = [run["runId"] for run in json.loads(pawl("runs", "list", "-o", "json", status=0).stdout)]
    assert listed == [of_run, of_daemon]
    both = json.loads(pawl("runs", "list", "--dag", name, "-o", "json", status=0).stdout)
    assert [run["runId"] for run in both] == listed
    assert pawl("logs", of_run[-8:], "a", status=0).stdout == "hello\n"
    assert pawl("logs", of_run[-8:], "-f", status=0).stdout == "==> a <==\nhello\n"
    assert len(pawl("dags", "list", status=0).stdout.splitlines()) == 2


# ---- stop, fsck, and reading without a daemon ----

def test_stop_waits_for_the_end_and_what_is_stored_stays_readable(make_daemon, tmp_path):
    daemon = make_daemon().start()
    pawl = DaemonShell(tmp_path, daemon)
    name = pawl.apply(ONE)
    run = pawl("trigger", name, "-w", status=0).stdout.strip()
    assert pawl("fsck", status=5).stdout == ""
    done = pawl("stop", status=0)
    assert f"the daemon (pid {daemon.pid}) is stopping" in done.stderr and "stopped" in done.stderr
    assert daemon.wait() == 0
    pawl("stop", status=7)
    assert run in pawl("runs", "list", "-o", "json", status=0).stdout
    assert re.search(r"^state +succeeded$", pawl("runs", "show", run[-8:], status=0).stdout, re.M)
    assert pawl("logs", run, "a", status=0).stdout == "hello\n"
    assert name in pawl("dags", "list", status=0).stdout
    assert name in pawl("runs", "list", status=0).stdout
    pawl("trigger", name, status=7)
    done = pawl("fsck", status=0)
    assert done.stdout == "" and "is sound" in done.stderr


def test_stop_kill_ends_what_was_left(make_daemon, tmp_path, gate):
    waits = gate()
    daemon = make_daemon().start()
    pawl = DaemonShell(tmp_path, daemon)
    name = pawl.apply({"id": "a", "command": waits.command()})
    pawl("trigger", name, status=0)
    task = waits.wait_arrival()
    daemon.kill()
    os.kill(task, 0)
    pidfd = os.pidfd_open(task)
    done = pawl("stop", "--kill", status=0)
    assert re.search(r"\d workers? (was|were) ended", done.stderr)
    with pytest.raises(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, 0)
    os.close(pidfd)


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_logs_go_on_over_a_restart_of_the_daemon(make_daemon, tmp_path, gate, end):
    """One that is stopped too: it must not end the log as if it were whole."""
    waits = gate()
    daemon = make_daemon("--listen", "127.0.0.1:0", "--drain", "0s").start()
    port = daemon.port
    pawl = DaemonShell(tmp_path, daemon)
    name = pawl.apply({"id": "a", "command": "echo first; " + waits.command("echo second")},
                      {"id": "b", "command": "echo third", "dependencies": ["a"]})
    run = pawl("trigger", name, status=0).stdout.strip()
    waits.wait_arrival()
    one, all_ = pawl.spawn("logs", run, "a", "-f"), pawl.spawn("logs", run, "-f")
    assert one.stdout.readline() == "first\n" and all_.stdout.readline() == "a | first\n"
    (daemon.kill if end == "kill" else daemon.stop)()
    daemon.start("--listen", f"127.0.0.1:{port}")
    waits.open()
    assert one.communicate(timeout=90)[0] == "second\n" and one.returncode == 0
    assert all_.communicate(timeout=90)[0].splitlines() == ["a | second", "b | third"] and all_.returncode == 0


def test_a_dead_daemon_that_nobody_waited_for_is_dead(make_daemon, tmp_path):
    """As where the first process of a container reaps none."""
    daemon = make_daemon().start()
    pawl = DaemonShell(tmp_path, daemon)
    name = pawl.apply(ONE)
    os.kill(daemon.pid, signal.SIGKILL)
    os.waitid(os.P_PID, daemon.pid, os.WEXITED | os.WNOWAIT)
    assert name in pawl("dags", "list", status=0).stdout
    assert "no daemon runs on" in pawl("trigger", name, status=7).stderr
    daemon.kill()


def test_watch_goes_on_over_a_restart_of_the_daemon(make_daemon, tmp_path, gate):
    waits = gate()
    daemon = make_daemon("--listen", "127.0.0.1:0").start()
    port = daemon.port
    pawl = DaemonShell(tmp_path, daemon)
    name = pawl.apply({"id": "a", "command": "true"}, {"id": "b", "command": waits.command(), "dependencies": ["a"]})
    run = pawl("trigger", name, status=0).stdout.strip()
    waits.wait_arrival()
    watch = pawl.spawn("runs", "watch", run)
    assert "1 succeeded" in watch.stdout.readline()  # it has begun
    terminal = Terminal([pawl_path(), "runs", "watch", run], home_env(tmp_path, PAWL_DATA=daemon.data), tmp_path)
    terminal.wait_for(rb"1/2 done")
    daemon.kill()
    daemon.start("--listen", f"127.0.0.1:{port}")
    waits.open()
    out = watch.communicate(timeout=90)
    assert watch.returncode == 0, out
    assert "b: succeeded" in out[0] or "succeeded: 2 succeeded" in out[0]
    assert terminal.finish() == 0
