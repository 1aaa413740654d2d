"""Tasks that run as another user: they are that user and nothing more, and are ours to end all the same."""
import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile

import pytest
from support import Daemon, Gate, children_of, dag, eventually, parent_of, pawl_path, process_state, wait_pid_gone

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a daemon that may change users")

NOBODY = pwd.getpwnam("nobody")
GAMES = pwd.getpwnam("games")
CAPABILITIES = "+setuid,+setgid,+kill"
SETTINGS = ["--run-as-allowed", "nobody", "--run-as-allowed", "games"]


@pytest.fixture
def yard():
    """A folder that every user may pass through; pytest's own are root's alone."""
    folder = tempfile.mkdtemp(prefix="pawl-run-as-")
    os.chmod(folder, 0o755)
    os.mkdir(os.path.join(folder, "work"), 0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def open_gate(yard):
    """A gate that any user may use."""
    made = []

    def make():
        folder = os.path.join(yard, f"gate{len(made)}")
        os.mkdir(folder)
        one = Gate(folder, "gate")
        for path in (one.here, one.go):
            os.chmod(path, 0o666)
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


@pytest.fixture
def serve(make_daemon, yard):
    def start(*options):
        return make_daemon(*SETTINGS, "--run-as-work", os.path.join(yard, "work"), *options).start()
    return start


def is_gone(pid):
    return process_state(pid) in ("Z", None)


def say(daemon, command, user="nobody", **fields):
    """What a task of that user writes; it has to succeed."""
    run = daemon.execute(f"say-{user}-{len(daemon.get('/api/v1/dags?limit=1000').json)}",
                         dag({"id": "a", "command": command}, runAs=user, **fields))
    log = daemon.log_of(run["runId"], "a")
    assert run["state"] == "succeeded", f"{log}\n{run['tasks']}"
    return log


def test_a_task_is_that_user_and_no_more(serve, yard):
    daemon = serve()
    text = say(daemon, "id -u; id -g; id -G; id -ru; pwd; grep ^Cap /proc/self/status; ls /proc/self/fd | tr '\\n' ' '")
    lines = text.splitlines()
    assert lines[0] == lines[3] == str(NOBODY.pw_uid) and lines[1] == str(NOBODY.pw_gid)
    assert set(lines[2].split()) == {str(group) for group in os.getgrouplist("nobody", NOBODY.pw_gid)}
    assert lines[4] == os.path.join(yard, "work", "nobody")
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert f"{name}:\t{0:016x}" in lines, text
    assert lines[-1].split() == ["0", "1", "2", "3"]  # the last one is ls's own, of the folder
    env = dict(line.split("=", 1) for line in say(daemon, "env").splitlines())
    assert env["HOME"] == NOBODY.pw_dir and env["USER"] == env["LOGNAME"] == "nobody"
    assert env["SHELL"] == NOBODY.pw_shell
    own = {"HOME": "/tmp", "USER": "somebody"}
    env = dict(line.split("=", 1) for line in say(daemon, "env", env=own).splitlines())
    assert env["HOME"] == "/tmp" and env["USER"] == "somebody" and env["LOGNAME"] == "nobody"
    # its folder is its own alone
    status = os.stat(os.path.join(yard, "work", "nobody"))
    assert status.st_uid == NOBODY.pw_uid and status.st_mode & 0o777 == 0o700
    # an output that is opened anew; the order stays
    assert say(daemon, "echo a; echo b > /dev/stderr; echo c > /dev/stdout") == "a\nb\nc\n"


def test_groups_are_the_users(serve):
    several = [entry for entry in pwd.getpwall()
               if entry.pw_uid != 0 and len(os.getgrouplist(entry.pw_name, entry.pw_gid)) > 1]
    if not several:
        pytest.skip("no user of this machine has a second group")
    user = several[0]
    daemon = serve("--run-as-allowed", user.pw_name)
    assert set(say(daemon, "id -G", user.pw_name).split()) == {
        str(group) for group in os.getgrouplist(user.pw_name, user.pw_gid)}


def test_every_kind_of_process(serve):
    daemon = serve()
    code = "import os\nprint(os.getuid(), os.geteuid(), os.getgroups(), os.environ['HOME'])\n"
    run = daemon.execute("kinds", dag(
        {"id": "list", "command": ["id", "-u"]},
        {"id": "python", "type": "python", "script": code},
        {"id": "warm", "type": "python", "script": code, "warm": True},
        {"id": "shell", "command": "id -u | cat"}, runAs="nobody"))
    assert run["state"] == "succeeded", [(task["error"], daemon.log_of(run["runId"], task["taskId"]))
                                         for task in run["tasks"]]
    for task in ("list", "shell"):
        assert daemon.log_of(run["runId"], task) == f"{NOBODY.pw_uid}\n"
    for task in ("python", "warm"):
        assert daemon.log_of(run["runId"], task).startswith(f"{NOBODY.pw_uid} {NOBODY.pw_uid} ")
    warned = daemon.post("/api/v1/dags/validate", {"yaml": dag(
        {"id": "a", "type": "python", "script": code, "warm": True}, name="w", runAs="nobody")}, 200).json
    assert warned["valid"] and any("warm" in item["message"] for item in warned["warnings"]), warned
    big = daemon.execute("big", dag({"id": "a", "type": "python", "script": code + "#" * 70000}, runAs="nobody"))
    assert big["tasks"][0]["errorType"] == "exec" and "64 KiB" in big["tasks"][0]["error"]


def test_what_it_cannot_reach(serve, yard):
    daemon = serve()
    secret = os.path.join(yard, "secret")
    with open(secret, "w", encoding="utf-8") as file:
        file.write("x")
    os.chmod(secret, 0o600)
    attempts = [f"ls {daemon.data}", f"cat {daemon.data}/pawl.db", f"cat {daemon.data}/address", f"cat {secret}",
                "cat /proc/$PPID/environ", "kill -0 $PPID", "kill -KILL $PPID", f"kill -KILL {daemon.pid}",
                "cat /proc/$PPID/maps | head -c 1 | grep .", "ls /proc/$PPID/fd", f"touch {yard}/work/here",
                "chown 0 .", "dd if=/dev/zero of=/proc/$PPID/mem count=1"]
    text = say(daemon, "\n".join(f"({line}) > /dev/null 2>&1 && echo '{line.replace(chr(39), '')} WORKED'"
                                 for line in attempts) + "\ntrue")
    assert text == ""


def test_users_are_kept_from_each_other(serve, open_gate):
    daemon = serve()
    door = open_gate()
    run = daemon.start_run("one", dag({"id": "a", "command": door.command(), "env": {"KEPT": "from-games"}},
                                      runAs="nobody"))
    pid = door.wait_arrival()
    text = say(daemon, f"cat /proc/{pid}/environ && echo READ; kill {pid} && echo KILLED; ls -d ../nobody/. && echo IN; "
                       "true", "games")
    assert "READ" not in text and "KILLED" not in text and "IN" not in text and "from-games" not in text
    # the same user's may, as anywhere
    assert "READ" in say(daemon, f"cat /proc/{pid}/environ > /dev/null && echo READ")
    door.open()
    assert daemon.wait_run(run)["state"] == "succeeded"


def stubborn(folder):
    """A task that ignores TERM, with a child in a session of its own; both write their pids."""
    return (f"trap '' TERM; echo $$ > {folder}/1; setsid sh -c 'trap \"\" TERM; echo $$ > {folder}/2; while :; do sleep 1;"
            " done' & while :; do sleep 1; done")


def pids_in(folder):
    pids = []
    for name in ("1", "2"):
        path = os.path.join(folder, name)
        eventually(lambda path=path: os.path.exists(path) and open(path, encoding="utf-8").read().endswith("\n"), path)
        with open(path, encoding="utf-8") as file:
            pids.append(int(file.read()))
    return pids


@pytest.fixture
def spot(yard):
    path = os.path.join(yard, "spot")
    os.mkdir(path)
    os.chmod(path, 0o777)
    return path


@pytest.mark.parametrize("how", ["cancel", "timeout", "worker", "both", "quit"])
def test_it_is_ended_with_all_it_started(serve, spot, how):
    daemon = serve("--grace", "100ms", "--workers", "1")
    timeout = {"timeout": "2s"} if how == "timeout" else {}
    run = daemon.start_run("stubborn", dag({"id": "a", "command": stubborn(spot), "onLost": "fail", **timeout},
                                           runAs="nobody"))
    pids = pids_in(spot)
    assert [os.stat(f"/proc/{pid}").st_uid for pid in pids] == [NOBODY.pw_uid] * 2
    worker = parent_of(pids[0])
    assert worker in daemon.worker_pids()
    if how == "cancel":
        daemon.post(f"/api/v1/runs/{run}/cancel", status=202)
        assert daemon.wait_run(run)["state"] == "canceled"
    elif how == "timeout":
        assert daemon.wait_run(run)["tasks"][0]["errorType"] == "timeout"
    elif how == "worker":
        os.kill(worker, signal.SIGKILL)
        assert daemon.wait_run(run)["tasks"][0]["errorType"] == "lost"
    elif how == "both":
        os.kill(daemon.pid, signal.SIGSTOP)
        os.kill(worker, signal.SIGKILL)
        wait_pid_gone(pids[0])  # with nobody there to end it
        daemon.kill()
        daemon.start()
        assert daemon.wait_run(run)["tasks"][0]["errorType"] == "lost"
    else:
        daemon.signal(signal.SIGQUIT)
        assert daemon.wait() == 0
    for pid in pids:
        wait_pid_gone(pid)


def test_it_outlives_the_daemon(serve, open_gate):
    daemon = serve()
    door = open_gate()
    run = daemon.start_run("long", dag({"id": "a", "command": door.command("id -u; exit 7")}, runAs="nobody"))
    pid = door.wait_arrival()
    daemon.kill()
    assert not is_gone(pid)
    daemon.start()
    door.open()
    task = daemon.wait_run(run)["tasks"][0]
    assert task["exitCode"] == 7 and task["attempt"] == 1
    assert daemon.log_of(run, "a") == f"{NOBODY.pw_uid}\n"


def refused(daemon, user, **fields):
    answer = daemon.post("/api/v1/dags", {"name": "refused", "yaml": "name: x\n" + f"runAs: {user}\n"
                                          + "tasks: [{id: a, type: shell, command: 'true'}]\n"})
    assert answer.status == 400, answer
    return answer.json


def test_who_may_be_named(serve):
    daemon = serve("--run-as-allowed", "no-such-user-here")
    for user in ("root", "daemon", "no-such-user", "'*'"):
        problem = refused(daemon, user)
        assert problem["code"] == "VALIDATION_ERROR" and "run-as-allowed" in problem["message"], problem
        assert (problem["errors"][0]["line"], problem["errors"][0]["column"]) == (2, 8)
    assert "there is no user 'no-such-user-here'" in refused(daemon, "no-such-user-here")["message"]
    for user in ("0", "''", "../root", "[nobody]", "\"nobody\\0\"", "\"nobody\\n\""):
        assert refused(daemon, user)["code"] == "PARSE_ERROR", user
    made = daemon.create("fine", dag({"id": "a", "command": "true"}, runAs="nobody"))
    change = {"yaml": dag({"id": "a", "command": "true"}, runAs="root")}
    assert daemon.send("PUT", f"/api/v1/dags/{made['id']}", change).json["code"] == "VALIDATION_ERROR"


def test_root_has_to_be_listed(serve):
    daemon = serve("--run-as-allowed", "root")
    assert say(daemon, "id -u; grep ^CapEff /proc/self/status", "root").split()[0] == "0"


def test_it_is_asked_again_at_the_start(make_daemon, yard):
    daemon = make_daemon("--run-as-work", os.path.join(yard, "work"))
    daemon.start("--run-as-allowed", "nobody")
    made = daemon.create("later", dag({"id": "a", "command": "id -u"}, runAs="nobody"))
    assert daemon.wait_run(daemon.trigger(made["id"]))["state"] == "succeeded"
    daemon.stop()
    daemon.start("--run-as-allowed", "games")
    task = daemon.wait_run(daemon.trigger(made["id"]))["tasks"][0]
    assert task["state"] == "failed" and task["errorType"] == "exec" and "tasks may not run as 'nobody'" in task["error"]


def test_the_default(make_daemon, yard):
    daemon = make_daemon("--run-as", "games", "--run-as-allowed", "nobody", "--run-as-work", os.path.join(yard, "work"))
    daemon.start()
    run = daemon.execute("none", dag({"id": "a", "command": "id -u"}))
    assert daemon.log_of(run["runId"], "a") == f"{GAMES.pw_uid}\n"
    assert say(daemon, "id -u") == f"{NOBODY.pw_uid}\n"
    assert refused(daemon, "root")["code"] == "VALIDATION_ERROR"
    # requests are made by the worker itself
    run = daemon.execute("http", dag({"id": "a", "type": "http", "url": f"http://127.0.0.1:{daemon.port}/live"}))
    assert run["state"] == "succeeded", run


def test_at_home_without_a_folder(make_daemon):
    daemon = make_daemon("--run-as-allowed", "games", "--run-as-allowed", "nobody").start()
    if os.path.isdir(GAMES.pw_dir):
        assert say(daemon, "pwd", "games") == f"{os.path.realpath(GAMES.pw_dir)}\n"
    run = daemon.execute("homeless", dag({"id": "a", "command": "true"}, runAs="nobody"))
    assert run["tasks"][0]["errorType"] == "exec" and NOBODY.pw_dir in run["tasks"][0]["error"], run


def test_a_folder_that_is_not_the_users(serve, yard):
    daemon = serve()
    os.symlink("/etc", os.path.join(yard, "work", "nobody"))
    run = daemon.execute("link", dag({"id": "a", "command": "true"}, runAs="nobody"))
    assert run["tasks"][0]["errorType"] == "exec" and "run-as-work" in run["tasks"][0]["error"]
    os.mkdir(os.path.join(yard, "work", "games"))
    run = daemon.execute("owned", dag({"id": "a", "command": "true"}, runAs="games"))
    assert "belongs to somebody else" in run["tasks"][0]["error"]


def test_starts_that_are_refused(make_daemon, yard):
    def fails(*options, wrap=()):
        one = make_daemon(*options)
        one.wrap = list(wrap)
        one.spawn()
        assert one.read_line() == ""
        assert one.wait() == 3, one.log()
        return one.log()

    os.chmod(os.path.join(yard, "work"), 0o777)
    assert "others can change" in fails("--run-as-work", os.path.join(yard, "work"), "--run-as", "nobody")
    assert "no user 'no-such-user'" in fails("--run-as", "no-such-user")
    program = os.path.join(yard, "pawl")
    shutil.copy(pawl_path(), program)
    for options in (["--run-as", "nobody"], ["--run-as-allowed", "nobody"]):
        for drop in (["--reuid", "games", "--regid", "games", "--clear-groups"], ["--bounding-set", "-kill"]):
            one = Unprivileged(yard, drop, program)
            said = one.try_to_serve(*options)
            assert "CAP_SETUID, CAP_SETGID and CAP_KILL" in said, said


class Unprivileged(Daemon):
    """A daemon of the user games, with some of root's capabilities or none."""

    def __init__(self, folder, drop, program, *options):
        home = tempfile.mkdtemp(dir=folder)
        os.chown(home, GAMES.pw_uid, GAMES.pw_gid)
        super().__init__(home, "--log-level", "debug", *options, env={"HOME": home})
        self.wrap = ["setpriv", *drop, "--"]
        self.program = program

    def try_to_serve(self, *options):
        done = subprocess.run([*self.wrap, self.program, "serve", "--data", self.data, "--listen", "127.0.0.1:0",
                               *options], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
                              env=self.env)
        assert done.returncode == 3, done.stderr
        return done.stderr


def test_a_daemon_that_is_not_root_but_may(yard, open_gate, spot):
    os.chown(os.path.join(yard, "work"), GAMES.pw_uid, GAMES.pw_gid)
    program = os.path.join(yard, "pawl")
    shutil.copy(pawl_path(), program)
    drop = ["--reuid", "games", "--regid", "games", "--clear-groups", "--inh-caps", CAPABILITIES, "--ambient-caps",
            CAPABILITIES]
    os.mkdir(os.path.join(yard, "work", "nobody"), 0o700)
    os.chown(os.path.join(yard, "work", "nobody"), NOBODY.pw_uid, NOBODY.pw_gid)
    daemon = Unprivileged(yard, drop, program, "--run-as-allowed", "nobody", "--run-as-work",
                          os.path.join(yard, "work"), "--grace", "100ms", "--workers", "1")
    try:
        daemon.start()
        text = say(daemon, "id -u; id -G; grep ^Cap /proc/self/status")
        assert text.split()[0] == str(NOBODY.pw_uid)
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert f"{name}:\t{0:016x}" in text
        # what it has is not the own user's tasks' to use either, beyond what the daemon was given
        own = daemon.execute("own", dag({"id": "a", "command": "id -u"}))
        assert daemon.log_of(own["runId"], "a") == f"{GAMES.pw_uid}\n"
        assert say(daemon, "id -u", "games") == f"{GAMES.pw_uid}\n"  # who we are may be named
        run = daemon.start_run("stubborn", dag({"id": "a", "command": stubborn(spot), "onLost": "fail"}, runAs="nobody"))
        pids = pids_in(spot)
        worker = parent_of(pids[0])
        assert os.stat(f"/proc/{worker}").st_uid == GAMES.pw_uid  # its memory is not undumpable
        daemon.post(f"/api/v1/runs/{run}/cancel", status=202)
        assert daemon.wait_run(run)["state"] == "canceled"
        for pid in pids:
            wait_pid_gone(pid)
        door = open_gate()
        run = daemon.start_run("dies", dag({"id": "a", "command": door.command(), "onLost": "fail"}, runAs="nobody"))
        pid = door.wait_arrival()
        os.kill(daemon.pid, signal.SIGSTOP)
        os.kill(parent_of(pid), signal.SIGKILL)
        wait_pid_gone(pid)
        os.kill(daemon.pid, signal.SIGCONT)
        assert daemon.wait_run(run)["tasks"][0]["errorType"] == "lost"
    finally:
        assert daemon.close() == []


def test_a_local_run_is_nobody_else(tmp_path):
    path = tmp_path / "d.yaml"
    path.write_text(dag({"id": "a", "command": "id -u"}, name="d", runAs="nobody"))
    done = subprocess.run([pawl_path(), "run", str(path)], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, env={**os.environ, "XDG_DATA_HOME": str(tmp_path)})
    assert done.returncode == 1 and "tasks may not run as 'nobody'" in done.stdout + done.stderr


def test_many_at_a_time(serve):
    """Copies of the worker and children in its memory, side by side."""
    daemon = serve()
    other = daemon.create("other", dag(*({"id": f"t{i}", "command": "id -u"} for i in range(200)), runAs="nobody"))
    own = daemon.create("own", dag(*({"id": f"t{i}", "command": "/usr/bin/id -u"} for i in range(200))))
    missing = daemon.create("none", dag(*({"id": f"t{i}", "command": ["/no/such/program"]} for i in range(20)),
                                        runAs="nobody"))
    denied = daemon.create("denied", dag(*({"id": f"t{i}", "command": "true", "workdir": daemon.data}
                                           for i in range(20)), runAs="nobody"))
    runs = [daemon.trigger(made["id"]) for made in (other, own, missing, denied)]
    for run, uid in ((runs[0], NOBODY.pw_uid), (runs[1], 0)):
        assert daemon.wait_run(run)["state"] == "succeeded"
        assert {daemon.log_of(run, f"t{i}") for i in (0, 99, 199)} == {f"{uid}\n"}
    for task in daemon.wait_run(runs[2])["tasks"]:
        assert task["errorType"] == "exec" and "No such file" in task["error"]
    for task in daemon.wait_run(runs[3])["tasks"]:
        assert task["errorType"] == "exec" and "Permission denied" in task["error"], task
    with contextlib.suppress(ProcessLookupError):
        assert all(re.match(r"[^Z]", process_state(pid) or "-") for pid in children_of(daemon.pid))
