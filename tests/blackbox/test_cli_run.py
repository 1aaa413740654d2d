"""pawl run FILE: without a daemon, in a pipe and on a terminal, interrupted, and what is left of it."""
import json
import os
import re
import subprocess

import pytest
from cli_support import Shell, Terminal, home_env, pawl_path
from support import dag, processes_of, wait_pid_gone


@pytest.fixture
def pawl(tmp_path):
    shell = Shell(tmp_path)
    yield shell
    assert processes_of(tmp_path) == [], "pawl run left processes behind"


@pytest.fixture
def on_terminal(pawl):
    """on_terminal("run", FILE): a Terminal with pawl on it."""
    def start(*arguments, columns=80, **env):
        return Terminal([pawl_path(), *arguments], home_env(pawl.home, **env), pawl.home, columns)
    return start


GOOD = dag({"id": "a", "command": "echo one"}, {"id": "b", "command": "echo two", "dependencies": ["a"]}, name="good")
BAD = dag({"id": "fine", "command": "echo fine"},
          {"id": "breaks", "name": "Breaks", "command": "echo last words; exit 3", "dependencies": ["fine"]},
          {"id": "never", "command": "true", "dependencies": ["breaks"]}, name="bad")


# ---- in a pipe ----

def test_success_is_0_with_one_line_per_change(pawl):
    done = pawl("run", pawl.file("good.yaml", GOOD), status=0)
    lines = done.stdout.splitlines()
    assert done.stderr == ""
    assert "\x1b" not in done.stdout and "\r" not in done.stdout
    assert re.fullmatch(r"run [0-9a-f-]{36} of good: 2 tasks", lines[0])
    assert lines[1:4:2] == ["a: running", "b: running"]
    assert re.fullmatch(r"a: succeeded after \S+", lines[2])
    assert re.fullmatch(r"b: succeeded after \S+", lines[4])
    assert re.fullmatch(r"run [0-9a-f]{8} of good succeeded: 2 succeeded, in \S+", lines[5])
    assert len(lines) == 6


def test_failure_is_1_with_cause_last_lines_and_the_command_for_more(pawl):
    done = pawl("run", pawl.file("bad.yaml", BAD), status=1)
    assert re.search(r"^breaks: failed after \S+: .*3", done.stdout, re.M)
    assert "never: skipped" in done.stdout
    report = done.stdout[done.stdout.index("  breaks (Breaks) failed: "):]
    assert "    | last words\n" in report
    command = re.search(r"^    pawl (logs [0-9a-f]{8} breaks)$", report, re.M)
    assert command
    assert re.search(r"^run \w{8} of bad failed: 1 succeeded, 1 failed, 1 skipped, in ", report, re.M)
    assert pawl(*command[1].split(), status=0).stdout == "last words\n"


def test_the_command_for_more_names_the_directory_it_needs(pawl, tmp_path):
    data = str(tmp_path / "else where")
    done = pawl("run", pawl.file("bad.yaml", BAD), "--data", data, status=1)
    command = re.search(r"^    (pawl logs .*)$", done.stdout, re.M)[1]
    again = subprocess.run(["bash", "-c", command.replace("pawl", pawl_path(), 1)], env=home_env(tmp_path),
                           capture_output=True, text=True, check=False)
    assert again.stdout == "last words\n"


def test_json_is_the_run_status_and_nothing_else(pawl):
    done = pawl("run", pawl.file("bad.yaml", BAD), "-o", "json", status=1)
    status = json.loads(done.stdout)
    assert status["state"] == "failed"
    assert {task["taskId"]: task["state"] for task in status["tasks"]} == {
        "fine": "succeeded", "breaks": "failed", "never": "skipped"}
    assert status["counts"]["skipped"] == 1
    assert "breaks: failed" in done.stderr


def test_a_retry_is_told(pawl):
    path = pawl.file("retry.yaml", dag({"id": "a", "command": "test -e there || { touch there; exit 1; }",
                                        "workdir": str(pawl.home),
                                        "retry": {"maxAttempts": 2, "initialDelay": "1ms", "jitter": 0}}, name="r"))
    done = pawl("run", path, status=0)
    assert re.search(r"^a: failed after .*; retry in ", done.stdout, re.M)
    assert "a: running, attempt 2 of 2" in done.stdout


def test_a_run_is_kept_and_found_by_the_end_of_its_id(pawl):
    done = pawl("run", pawl.file("good.yaml", GOOD), status=0)
    run_id = done.stdout.split()[1]
    table = pawl("runs", status=0).stdout
    assert re.search(rf"^{run_id[-8:]}  good +succeeded +cli ", table, re.M)
    [run] = json.loads(pawl("runs", "list", "-o", "json", status=0).stdout)
    assert run["runId"] == run_id
    for part in (run_id, run_id[-8:], run_id[-6:].upper(), run_id[:13]):
        shown = pawl("runs", "show", part, status=0).stdout
        assert run_id in shown and "good" in shown
    assert json.loads(pawl("runs", "show", run_id[-8:], "-o", "json", status=0).stdout)["state"] == "succeeded"
    assert pawl("logs", run_id[-8:], "b", status=0).stdout == "two\n"
    assert pawl("logs", run_id[-8:], status=0).stdout == "==> a <==\none\n\n==> b <==\ntwo\n"
    assert "succeeded" in pawl("why", run_id[-8:], "a", status=0).stdout
    done = pawl("logs", run_id[-8:], "bb", status=4)
    assert "did you mean" in done.stderr or "lists the tasks" in done.stderr
    assert pawl("runs", "show", "ffffffff", status=4).stdout == ""
    assert pawl("runs", "list", "--dag", "good", status=0).stdout == table
    assert "did you mean 'good'?" in pawl("runs", "list", "--dag", "goood", status=4).stderr


def test_an_ambiguous_id_lists_the_candidates(pawl):
    path = pawl.file("good.yaml", GOOD)
    ids = [pawl("run", path, status=0).stdout.split()[1] for _ in range(2)]
    done = pawl("runs", "show", os.path.commonprefix(ids)[:6], status=2)
    assert "fits more than one run" in done.stderr
    assert all(run_id in done.stderr for run_id in ids)


def test_relative_paths_start_at_the_file_and_the_environment_is_the_callers(pawl):
    os.makedirs(os.path.join(pawl.home, "there/work"))
    pawl.file("there/d.yaml", dag({"id": "a", "command": "pwd; echo $COLOUR", "workdir": "work"}, name="d"))
    done = pawl("run", "there/d.yaml", env={"COLOUR": "blue"}, status=0)
    log = pawl("logs", done.stdout.split()[1], "a", status=0).stdout
    assert log == f"{os.path.realpath(pawl.home)}/there/work\nblue\n"


def test_stdin_is_a_file_too(pawl):
    pawl("run", "-", input=GOOD, status=0)


def test_tasks_do_not_inherit_what_pawl_does_to_signals(pawl):
    path = pawl.file("s.yaml", dag({"id": "a", "command": "grep -E '^Sig(Blk|Ign)' /proc/self/status"}, name="s"))
    done = pawl("run", path, status=0)
    log = pawl("logs", done.stdout.split()[1], "a", status=0).stdout
    of_libc = 1 << 31 | 1 << 32  # 32 and 33, which the C library's posix_spawn always ignores
    masks = [int(line.split()[1], 16) & ~of_libc for line in log.splitlines()]
    assert masks == [0, 0]


def test_a_reader_that_goes_away_does_not_stop_the_run(pawl):
    path = pawl.file("good.yaml", GOOD)
    done = subprocess.run(["bash", "-c", f"'{pawl_path()}' run '{path}' | head -n 1; echo ${{PIPESTATUS[0]}}"],
                          env=home_env(pawl.home), capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "0"
    assert "succeeded" in pawl("runs", status=0).stdout


HOSTILE = "x\u00e9\u65e5;`$(y)'\""


def test_hostile_names_are_text(pawl):
    path = pawl.file("h.yaml", dag({"id": HOSTILE, "command": "printf '\\033[2Jred\\n'; exit 1"}, name="h"))
    done = pawl("run", path, status=1)
    assert f"{HOSTILE}: running" in done.stdout
    assert "\x1b" not in done.stdout
    assert "    | \\x1b[2Jred" in done.stdout
    command = re.search(r"^    (pawl logs .*)$", done.stdout, re.M)[1]
    again = subprocess.run(["bash", "-c", command.replace("pawl", pawl_path(), 1)], env=home_env(pawl.home),
                           capture_output=True, text=True, check=False)
    assert again.stdout == "\x1b[2Jred\n"


# ---- interrupted ----

def test_an_interrupt_cancels_and_is_130(pawl, gate):
    waits = gate()
    path = pawl.file("w.yaml", dag({"id": "a", "command": "trap 'exit 0' TERM; " + waits.command()},
                                   {"id": "b", "command": "true", "dependencies": ["a"]}, name="w"))
    process = subprocess.Popen([pawl_path(), "run", path], env=home_env(pawl.home), stdout=subprocess.PIPE, text=True)
    waits.wait_arrival()
    process.send_signal(2)
    out, _ = process.communicate(timeout=90)
    assert process.returncode == 130
    assert "canceling; again kills at once" in out
    assert re.search(r"of w canceled: ", out)


def test_a_second_interrupt_kills(pawl, gate):
    waits = gate()
    path = pawl.file("w.yaml", dag({"id": "a", "command": "trap 'echo term >&3' TERM; exec 3>" + str(waits.here) +
                                    "; echo $$ >&3; while :; do read x < " + str(waits.go) + "; done"}, name="w"))
    process = subprocess.Popen([pawl_path(), "run", path, "--grace", "1h"], env=home_env(pawl.home),
                               stdout=subprocess.PIPE, text=True)
    pid = waits.wait_arrival()
    process.send_signal(2)
    waits.open()
    while b"term" not in waits.rest:
        waits.rest += os.read(waits.here_fd, 100) if waits_readable(waits) else b""
    process.send_signal(2)
    out, _ = process.communicate(timeout=90)
    assert process.returncode == 130
    assert "killing" in out
    wait_pid_gone(pid)


def waits_readable(waits):
    import select
    ready, _, _ = select.select([waits.here_fd], [], [], 90)
    assert ready, "TERM never reached the task"
    return True


# ---- on a terminal ----

def test_the_terminal_shows_a_block_and_then_the_outcome(pawl, on_terminal, gate):
    waits = gate()
    path = pawl.file("w.yaml", dag({"id": "a", "command": "true"},
                                   {"id": "waits", "command": waits.command(), "dependencies": ["a"]}, name="w"))
    terminal = on_terminal("run", path)
    waits.wait_arrival()
    terminal.wait_for(rb"1/2 done")
    terminal.wait_for(rb"waits")
    rows = [row for row in terminal.screen() if row]
    assert re.fullmatch(r"w  [0-9a-f]{8}  \d+s", rows[0])
    assert re.fullmatch(r"\[############\.{12}\] 1/2 done  1 running", rows[1])
    assert re.fullmatch(r" +\d+s  waits", rows[2])
    waits.open()
    assert terminal.finish() == 0
    rows = [row for row in terminal.screen() if row]
    assert len(rows) == 1, rows
    assert re.fullmatch(r"run [0-9a-f]{8} of w succeeded: 2 succeeded, in \S+", rows[0])


def test_ctrl_c_on_a_terminal_cancels(pawl, on_terminal, gate):
    waits = gate()
    path = pawl.file("w.yaml", dag({"id": "a", "command": waits.command()}, name="w"))
    terminal = on_terminal("run", path)
    waits.wait_arrival()
    terminal.wait_for(rb"0/1 done")
    terminal.type("\x03")
    assert terminal.finish() == 130
    assert re.search(r"of w canceled: 1 canceled", "\n".join(terminal.screen()))


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_descriptors(pawl, closed):
    """Nothing else gets their numbers: it would be waited for, or written into."""
    path = pawl.file("good.yaml", GOOD)
    done = subprocess.run(["sh", "-c", f'"$0" run "$1" {closed}', pawl_path(), path], env=home_env(pawl.home), check=False,
                          capture_output=True, text=True, timeout=90, cwd=pawl.home)
    assert done.returncode == (0 if ">&-" not in closed or closed == "2>&-" else 1), done.stderr
    [run] = json.loads(pawl("runs", "list", "-o", "json", status=0).stdout)
    assert run["state"] == "succeeded"


def test_a_limit_of_file_sizes_is_said(pawl):
    path = pawl.file("good.yaml", GOOD)
    done = subprocess.run(["sh", "-c", 'ulimit -f 200; exec "$0" run "$1"', pawl_path(), path], env=home_env(pawl.home),
                          check=False, capture_output=True, text=True, timeout=90, cwd=pawl.home)
    assert done.returncode == 7 and "pawl.db: " in done.stderr, (done.returncode, done.stderr)


def test_a_resize_is_followed(pawl, on_terminal, gate):
    waits = gate()
    path = pawl.file("w.yaml", dag({"id": "a" * 100, "command": waits.command()}, name="w"))
    terminal = on_terminal("run", path, columns=120)
    waits.wait_arrival()
    at = terminal.wait_for(b"a" * 100)
    terminal.resize(40)
    end = terminal.wait_for("a…".encode(), at)
    shown = re.search("a+…".encode(), terminal.output[at:end]).group().decode()
    assert len(shown) < 40
    waits.open()
    assert terminal.finish() == 0


def test_no_block_on_a_dumb_terminal_and_no_colours_when_not_wanted(pawl, on_terminal):
    path = pawl.file("good.yaml", GOOD)
    terminal = on_terminal("run", path, TERM="dumb")
    assert terminal.finish() == 0
    assert b"\x1b" not in terminal.output and b"a: succeeded after" in terminal.output
    terminal = on_terminal("run", path, NO_COLOR="1")
    assert terminal.finish() == 0
    assert not re.search(rb"\x1b\[[0-9;]*m", terminal.output)


def test_logs_on_a_terminal_cannot_steer_it(pawl, on_terminal):
    path = pawl.file("c.yaml", dag({"id": "a", "command": r"printf '\033[32mgreen\033[0m\033[2J\007\n'"}, name="c"))
    done = pawl("run", path, status=0)
    run = done.stdout.split()[1]
    assert pawl("logs", run, "a", status=0).stdout == "\x1b[32mgreen\x1b[0m\x1b[2J\x07\n"
    terminal = on_terminal("logs", run, "a")
    assert terminal.finish() == 0
    assert terminal.output == b"\x1b[32mgreen\x1b[0m\\x1b[2J\\x07\r\n"
    terminal = on_terminal("logs", run, "a", NO_COLOR="1")
    assert terminal.finish() == 0
    assert terminal.output == b"green\\x1b[2J\\x07\r\n"
