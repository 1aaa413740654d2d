"""The command line where no daemon is needed: help, mistakes, DAG files, settings, completion, man pages, docs."""
import filecmp
import json
import os
import re
import shutil
import subprocess

import pytest
from cli_support import Shell, Terminal, home_env, pawl_path

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

BROKEN = """name: broken
tasks:
  - id: a
    type: shel
    comand: echo
  - id: b
    type: shell
    command: "true"
    dependencies: [c]
"""
CYCLE = """name: cycle
tasks:
  - {id: a, type: shell, command: "true", dependencies: [b]}
  - {id: b, type: shell, command: "true", dependencies: [a]}
"""


@pytest.fixture
def pawl(tmp_path):
    return Shell(tmp_path)


def commands(pawl):
    """Every command, as docs/cli/ lists them."""
    with open(os.path.join(SOURCE, "docs/cli/README.md"), encoding="utf-8") as page:
        return re.findall(r"\[pawl ([a-z ]+)\]\(", page.read())


# ---- help and mistakes ----

def test_version(pawl):
    assert re.fullmatch(r"pawl \d+\.\d+\.\d+\n", pawl("version", status=0).stdout)
    assert pawl("--version", status=0).stdout == pawl("version").stdout


def test_every_command_has_help_with_examples(pawl):
    names = commands(pawl)
    assert {"serve", "run", "runs list", "dlq skip"} <= set(names)
    overview = pawl("help", status=0).stdout
    for name in names:
        page = pawl("help", *name.split(), status=0)
        assert page.stderr == ""
        assert page.stdout.startswith(f"Usage: pawl {name}")
        assert f"\n  pawl {name.split()[0]}" in page.stdout
        assert "--help" in page.stdout
        assert max(map(len, page.stdout.splitlines())) <= 90
        assert pawl(*name.split(), "--help", status=0).stdout == page.stdout
        assert f"  {name.split()[0]} " in overview


def test_help_of_a_family_lists_its_commands(pawl):
    page = pawl("runs", "--help", status=0).stdout
    assert "runs watch RUN" in page and "runs rerun RUN" in page
    assert pawl("help", "runs", status=0).stdout == page


@pytest.mark.parametrize("arguments, words", [
    ([], "a command is needed"),
    (["rusn"], "did you mean 'pawl runs'?"),
    (["runs", "lits"], "did you mean 'pawl runs list'?"),
    (["help", "valdate"], "did you mean 'pawl validate'?"),
    (["serve", "--lisen", "x"], "did you mean '--listen'?"),
    (["runs", "--state", "faild"], "did you mean 'failed'?"),
    (["serve", "--workers", "many"], "'many' is not a whole number"),
    (["run"], "pawl run needs FILE"),
    (["completion", "tcsh"], "bash, zsh or fish"),
    (["trigger", "x", "--timeout", "5"], "is not a duration"),
    (["runs", "show", "a", "b"], "'b' is one argument too many"),
])
def test_wrong_usage_is_2_and_says_what_was_meant(pawl, arguments, words):
    done = pawl(*arguments, status=2)
    assert words in done.stderr
    assert done.stdout == ""


def test_foreign_text_in_messages_is_escaped(pawl):
    done = pawl("run\x1b[2J", status=2)
    assert "\x1b" not in done.stderr
    assert "\\x1b[2J" in done.stderr


# ---- output ----

def test_a_reader_that_goes_away_is_no_error(pawl):
    done = subprocess.run(["bash", "-c", f"set -o pipefail; '{pawl_path()}' completion bash | head -n 1"],
                          env=home_env(pawl.home), capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == ""


def test_output_that_cannot_be_written_is_an_error(pawl):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([pawl_path(), "help"], env=home_env(pawl.home), stdout=full, stderr=subprocess.PIPE,
                              text=True, check=False)
    assert done.returncode == 1
    assert "the output cannot be written: No space left on device" in done.stderr


def on_terminal(pawl, *arguments, **env):
    terminal = Terminal([pawl_path(), *arguments], home_env(pawl.home, **env), pawl.home)
    status = terminal.finish()
    return status, terminal.output


def test_colours_on_a_terminal_unless_they_are_not_wanted(pawl):
    path = pawl.file("broken.yaml", BROKEN)
    assert b"\x1b[1m" in on_terminal(pawl, "help")[1]
    assert b"\x1b[" not in on_terminal(pawl, "help", NO_COLOR="1")[1]
    assert b"\x1b[" not in on_terminal(pawl, "help", TERM="dumb")[1]
    assert b"\x1b[" in on_terminal(pawl, "help", NO_COLOR="")[1]
    assert b"\x1b[" in on_terminal(pawl, "validate", path)[1]
    assert b"\x1b[" not in on_terminal(pawl, "validate", path, NO_COLOR="1")[1]
    assert "\x1b[" not in pawl("validate", path).stderr


# ---- DAG files ----

def test_validate_says_everything_with_its_place(pawl):
    path = pawl.file("broken.yaml", BROKEN)
    done = pawl("validate", path, status=3)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert any(line.startswith(f"{path}:4:11: error: Invalid task type: shel (expected: shell, http, python)")
               for line in lines)
    assert any(line.startswith(f"{path}:5:5: error: ") for line in lines)
    assert any("Task 'b' depends on 'c' which does not exist" in line for line in lines)
    caret = next(number for number, line in enumerate(lines) if line.rstrip().endswith("^~~~"))
    assert lines[caret].index("^") == lines[caret - 1].index("shel")
    assert "did you mean 'shell'?" in done.stderr
    assert "did you mean 'command'?" in done.stderr


def test_validate_of_good_files_and_stdin(pawl):
    examples = sorted(os.path.join(SOURCE, "examples", name) for name in os.listdir(os.path.join(SOURCE, "examples"))
                      if name.endswith(".yaml"))
    done = pawl("validate", *examples, status=0)
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == examples
    done = pawl("validate", "-", input='{"name": "x", "tasks": [{"id": "a", "type": "shell", "command": "true"}]}',
                status=0)
    assert done.stdout == "-: valid, 1 task\n"


def test_validate_one_bad_file_among_good_ones(pawl):
    good = os.path.join(SOURCE, "examples/build.yaml")
    bad = pawl.file("cycle.yaml", CYCLE)
    done = pawl("validate", bad, good, status=3)
    assert "Cycle detected: a -> b -> a" in done.stderr
    assert done.stdout == f"{good}: valid, 7 tasks\n"


def test_validate_as_json(pawl):
    bad = pawl.file("broken.yaml", BROKEN)
    done = pawl("validate", bad, "-o", "json", status=3)
    assert done.stderr == ""
    [report] = json.loads(done.stdout)
    assert report["file"] == bad and report["valid"] is False and report["warnings"] == []
    first = report["errors"][0]
    assert (first["line"], first["column"]) == (4, 11)
    assert first["message"].startswith("Invalid task type: shel")


def test_a_file_that_is_not_there_is_4(pawl):
    done = pawl("validate", "nothing.yaml", status=4)
    assert "nothing.yaml: No such file or directory" in done.stderr
    assert pawl("run", "nothing.yaml", status=4).stdout == ""
    assert pawl("validate", ".", status=1).stdout == ""


@pytest.mark.parametrize("command", [["run"], ["dags", "apply"]])
def test_a_bad_dag_is_3_before_anything_happens(pawl, command):
    done = pawl(*command, pawl.file("cycle.yaml", CYCLE), status=3)
    assert "Cycle detected" in done.stderr
    assert "cycle.yaml is not valid" in done.stderr
    assert not os.path.exists(pawl.data)


@pytest.mark.parametrize("command", [["validate"], ["run"], ["dags", "apply"]])
def test_a_file_for_commands_names_its_dag(pawl, command):
    """Only a request to the API names a DAG itself."""
    path = pawl.file("nameless.yaml", "tasks: [{id: a, type: shell, command: 'true'}]\n")
    assert "nameless.yaml:1:1: error: Missing required field: name" in pawl(*command, path, status=3).stderr


# ---- no daemon ----

@pytest.mark.parametrize("arguments", [
    ["trigger", "x"], ["runs", "cancel", "abc"], ["runs", "watch", "abc"], ["workers"], ["cluster"], ["dlq"],
    ["health"], ["dags", "delete", "x"], ["runs", "list"], ["logs", "abc"], ["stop"]])
def test_without_a_daemon_it_is_7_with_a_hint(pawl, arguments):
    done = pawl(*arguments, status=7)
    assert f"no daemon runs on {pawl.data}" in done.stderr
    assert done.stdout == ""


def test_an_address_where_nobody_listens_is_7(pawl):
    done = pawl("health", "--server", "http://127.0.0.1:1", status=7)
    assert "127.0.0.1" in done.stderr
    assert "is 'pawl serve' running there?" in done.stderr
    pawl("health", "--server", "ftp://x", status=2)


def test_what_a_killed_daemon_left_is_no_daemon(pawl):
    os.makedirs(pawl.data, mode=0o700)
    with open(os.path.join(pawl.data, "address"), "w", encoding="utf-8") as address:
        address.write("url=http://127.0.0.1:1\npid=1\nstart=999999999999\nboot=none\ntoken=x\n")
    assert "no daemon runs" in pawl("health", status=7).stderr


def test_other_addresses_than_loopback_are_refused(pawl):
    for address in ("0.0.0.0:0", "[::]:0"):
        done = pawl("serve", "--listen", address, status=3)
        assert "needs TLS" in done.stderr
        assert done.stdout == ""


# ---- settings ----

def test_flags_beat_the_environment_beats_the_file(pawl):
    config = pawl.file("config", "workers = 5\nslots = 6\ngrace = 7s   # a comment\n")
    done = pawl("serve", "--print-config", "--config", config, "--workers", "7", env={"PAWL_SLOTS": "8"}, status=0)
    rows = dict(line.split(" = ", 1) for line in done.stdout.splitlines() if " = " in line)
    assert re.fullmatch(r"7 +# flag --workers", rows["workers"])
    assert re.fullmatch(r"8 +# environment PAWL_SLOTS", rows["slots"])
    assert re.fullmatch(r"7s +# " + re.escape(config) + ":3", rows["grace"])
    assert re.fullmatch(r"127\.0\.0\.1:8080 +# default", rows["listen"])
    again = pawl.file("again", done.stdout)
    second = pawl("serve", "--print-config", "--config", again, status=0).stdout
    assert [line.partition("#")[0] for line in second.splitlines()] == [
        line.partition("#")[0] for line in done.stdout.splitlines()]


def test_the_usual_config_file_is_read(pawl):
    os.makedirs(os.path.join(pawl.home, ".config/pawl"))
    pawl.file(".config/pawl/config", "data = /srv/of pawl\n")
    assert "data = /srv/of pawl " in pawl("serve", "--print-config", status=0).stdout
    assert "/srv/of pawl" in pawl("health", status=7).stderr


def test_a_wrong_config_file_is_3_and_says_where(pawl):
    config = pawl.file("config", "workers = 5\nwokers = 6\n")
    done = pawl("serve", "--print-config", "--config", config, status=3)
    assert f"{config}:2: unknown setting 'wokers'" in done.stderr
    assert "did you mean 'workers'?" in done.stderr


# ---- what is generated ----

def test_the_committed_docs_are_current(pawl, tmp_path):
    pawl("generate", "docs", str(tmp_path / "docs"), status=0)
    made = sorted(os.listdir(tmp_path / "docs/cli"))
    assert sorted(os.listdir(os.path.join(SOURCE, "docs/cli"))) == made, "run: build/pawl generate docs docs"
    for name in ["configuration.md"] + [f"cli/{page}" for page in made]:
        assert filecmp.cmp(tmp_path / "docs" / name, os.path.join(SOURCE, "docs", name), shallow=False), (
            f"docs/{name} is old: build/pawl generate docs docs")


def test_man_pages_render_without_a_warning(pawl, tmp_path):
    pawl("generate", "man", str(tmp_path / "man"), status=0)
    pages = sorted(os.listdir(tmp_path / "man"))
    assert len(pages) == len(commands(pawl)) + 1
    for page in pages:
        done = subprocess.run(["groff", "-ww", "-man", "-Tutf8", str(tmp_path / "man" / page)], capture_output=True,
                              text=True, check=False, env=home_env(tmp_path))
        assert done.returncode == 0 and done.stderr == "", f"{page}: {done.stderr}"
        assert "SYNOPSIS" in re.sub(".\x08", "", done.stdout)


# A `pawl` that knows two DAGs, one of them named by an enemy of shells.
FAKE = """#!/bin/sh
[ "$1 $2" = "candidates dags" ] && printf '%s\\n' nightly '$(touch hacked) x' nothing
"""


def complete(tmp_path, *words):
    """What bash offers for the last of the words."""
    script = subprocess.run([pawl_path(), "completion", "bash"], capture_output=True, text=True, check=True).stdout
    (tmp_path / "pawl.bash").write_text(script)
    os.makedirs(tmp_path / "bin", exist_ok=True)
    (tmp_path / "bin/pawl").write_text(FAKE)
    os.chmod(tmp_path / "bin/pawl", 0o755)
    quoted = " ".join(f"'{word}'" for word in ("pawl", *words))
    done = subprocess.run(
        ["bash", "--norc", "-c", f"source ./pawl.bash; COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _pawl; "
                                 "printf '%s\\n' \"${COMPREPLY[@]}\""],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env=home_env(tmp_path, PATH=f"{tmp_path}/bin:{os.environ['PATH']}"))
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout.split("\n")[:-1]


def test_bash_completion_loads_and_offers(tmp_path):
    script = subprocess.run([pawl_path(), "completion", "bash"], capture_output=True, check=True).stdout
    assert subprocess.run(["bash", "-n"], input=script, capture_output=True, check=False).stderr == b""
    assert "complete -F _pawl pawl" in script.decode()
    assert set(complete(tmp_path, "ru")) == {"run", "runs"}
    assert complete(tmp_path, "runs", "wa") == ["watch"]
    assert "--idempotency-key" in complete(tmp_path, "trigger", "--i")
    assert complete(tmp_path, "runs", "list", "--state", "fa") == ["failed"]
    assert complete(tmp_path, "completion", "z") == ["zsh"]
    (tmp_path / "a file.yaml").write_text("")
    assert complete(tmp_path, "validate", "a") == ["a file.yaml"]


def test_bash_completion_never_runs_a_name(tmp_path):
    offered = complete(tmp_path, "trigger", "")
    assert "nightly" in offered and "nothing" in offered
    assert "\\$\\(touch\\ hacked\\)\\ x" in offered
    assert not os.path.exists(tmp_path / "hacked")
    assert complete(tmp_path, "trigger", "ni") == ["nightly"]


@pytest.mark.parametrize("shell, words", [("zsh", "#compdef pawl"), ("fish", "complete -c pawl")])
def test_other_shells_completions_name_every_command(pawl, shell, words):
    script = pawl("completion", shell, status=0).stdout
    assert words in script
    for name in commands(pawl):
        assert name.split()[-1] in script
    if shutil.which(shell):
        done = subprocess.run([shell, "-n", "/dev/stdin"], input=script, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
