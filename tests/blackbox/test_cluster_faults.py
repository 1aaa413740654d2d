"""Nodes on a PostgreSQL that is slow, full, busy elsewhere or away at the worst moment, and nodes whose clocks differ.
What tests/cluster/campaign.py found stands here as the one case of it."""
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path

import pytest
from postgres import Postgres
from support import PATIENCE, dag, eventually, pawl_path, processes_of, source_root, states, wait_pid_gone
from test_cluster import LEASE_S, TASK, begin, check_taken_over, ended, is_ready, lines, nodes

CLUSTER = Path(source_root()) / "tests" / "cluster"
sys.path.insert(0, str(CLUSTER))
from wire import Arm, Wire  # noqa: E402

OPTIONS = ("--lease", f"{LEASE_S}s", "--workers", "1")
CHAIN = """
name: chain
tasks:
  - {id: a, type: shell, command: "true"}
  - {id: b, type: shell, command: "true", dependencies: [a]}
  - {id: c, type: shell, command: "true", dependencies: [b]}
"""


@pytest.fixture
def wire():
    made = Wire()
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def through(wire, postgres, url, name):
    """A way to the database that the test can break: (link, URL)."""
    link = wire.link("127.0.0.1", os.path.join(postgres.folder, ".s.PGSQL.5432"), name)
    name = url.split("/")[3].split("?")[0]
    return link, f"postgresql://pawl@127.0.0.1:{link.port}/{name}?sslmode=disable&gssencmode=disable"


@contextlib.contextmanager
def session(postgres, url, statement):
    """Somebody else's transaction, open as long as the block."""
    with subprocess.Popen([os.path.join(postgres.bin, "psql"), "-XAtq", url], user=postgres.user, cwd=postgres.folder,
                          extra_groups=[] if postgres.user else None, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as psql:
        psql.stdin.write(f"BEGIN; {statement}; SELECT 'there';\n")
        psql.stdin.flush()
        while psql.stdout.readline().strip() != "there":
            pass
        yield
        psql.stdin.write("COMMIT;\n")
        psql.stdin.close()
        psql.wait()


def test_a_node_looks_before_it_joins(postgres, make_daemon):
    """The cheap form of fsck: what contradicts itself is not gone on with, by the node that starts. What cannot be looked
    at in time is said, and gone on with."""
    url = postgres.database()
    one, two = [make_daemon("--store", url, *OPTIONS) for _ in range(2)]
    one.start()
    one.execute("kept", dag({"id": "a", "command": "true"}))
    postgres.sql(url, "UPDATE pawl.dags SET version = version + 1")
    two.spawn()
    assert two.read_line() == "" and two.wait() not in (0, -6)
    for words in ("contradicts itself", "DAGs without their latest version", "pawl fsck"):
        assert words in two.log(), two.log()
    postgres.sql(url, "UPDATE pawl.dags SET version = version - 1")
    with session(postgres, url, "LOCK TABLE pawl.runs"):
        two.start()
        assert "the store was not looked at" in two.log(), two.log()
    assert states(two.execute("again", dag({"id": "a", "command": "true"}))) == {"a": "succeeded"}


def test_told_to_stop_while_it_was_declared_dead(postgres, make_daemon, folder):
    url = postgres.database()
    one, two = [make_daemon("--store", url, *OPTIONS).start() for _ in range(2)]
    run = begin(one, folder)
    one.signal(signal.SIGSTOP)
    check_taken_over(two, run, folder)
    one.signal(signal.SIGTERM)
    one.signal(signal.SIGCONT)
    assert one.wait() == 0
    eventually(lambda: len(nodes(two)) == 1, "one node")


def test_the_database_is_away_when_a_node_joins_anew(postgres, wire, make_daemon, folder):
    url = postgres.database()
    link, broken_url = through(wire, postgres, url, 1)
    one, two = make_daemon("--store", broken_url, *OPTIONS).start(), make_daemon("--store", url, *OPTIONS).start()
    run = begin(one, folder)
    one.signal(signal.SIGSTOP)
    check_taken_over(two, run, folder)
    there = link.socket_path

    def away(_):
        link.socket_path = there + ".not"
    link.arms.append(Arm("join", 1, False, away))
    one.signal(signal.SIGCONT)
    eventually(lambda: link.refused > 2, "it tries again")
    link.socket_path = there
    eventually(lambda: is_ready(one), "the node serves again")
    assert one.execute("chain", CHAIN)["state"] == "succeeded"


def test_a_stop_while_the_database_is_away(postgres, wire, make_daemon, folder):
    url = postgres.database()
    link, broken_url = through(wire, postgres, url, 1)
    one, two = make_daemon("--store", broken_url, *OPTIONS).start(), make_daemon("--store", url, *OPTIONS).start()
    run = begin(one, folder)
    one.signal(signal.SIGSTOP)
    check_taken_over(two, run, folder)

    def away(_):
        link.socket_path += ".not"
    link.arms.append(Arm("join", 1, False, away))
    one.signal(signal.SIGCONT)
    eventually(lambda: link.refused, "it cannot join")
    one.signal(signal.SIGHUP)
    eventually(lambda: link.refused > 3, "it tries again")
    one.signal(signal.SIGTERM)
    assert one.wait() == 0


@pytest.mark.parametrize("after", [False, True])
def test_an_acknowledgement_is_lost(postgres, wire, make_daemon, after):
    """The connection breaks before the server commits, and after it did: the run is there once."""
    url = postgres.database()
    link, broken_url = through(wire, postgres, url, 1)
    one, two = make_daemon("--store", broken_url, *OPTIONS).start(), make_daemon("--store", url, *OPTIONS).start()
    dag = one.create("chain", CHAIN)["id"]
    met = []
    link.arms.append(Arm("commit", 1, after, met.append))
    run = one.trigger(dag, **{"Idempotency-Key": "once"})
    assert met and two.trigger(dag, **{"Idempotency-Key": "once"}) == run
    assert ended(two, run)["state"] == "succeeded"
    assert [row["runId"] for row in two.get(f"/api/v1/dags/{dag}/runs").json] == [run]


def test_the_lease_is_never_renewed(postgres, wire, make_daemon, folder):
    """All works but that: what began in the time that joining gave is killed when that is over."""
    url = postgres.database()
    link, broken_url = through(wire, postgres, url, 1)

    def again(_):
        link.arms.append(Arm("renew", 1, False, again))
    again(None)
    options = ("--lease", "10s", "--workers", "1")     # once, and long enough for a run to begin
    two, one = make_daemon("--store", url, *options).start(), make_daemon("--store", broken_url, *options).start()
    run = begin(one, folder)
    check_taken_over(two, run, folder)
    link.arms.clear()


def test_a_slow_database(postgres, wire, make_daemon):
    link, url = through(wire, postgres, postgres.database(), 1)
    one = make_daemon("--store", url, "--workers", "1").start()
    link.slow(0.05)
    status = one.execute("chain", CHAIN)
    assert status["state"] == "succeeded" and {task["attempt"] for task in status["tasks"]} == {1}


def test_no_connection_is_left(postgres, make_daemon, folder):
    """As with max_connections, but for one role, so that the test can still look."""
    url = postgres.database()
    postgres.sql(url, "CREATE ROLE frugal LOGIN")
    name = url.split("/")[3].split("?")[0]
    postgres.sql(url, f"GRANT CREATE ON DATABASE {name} TO frugal")
    one = make_daemon("--store", url.replace("pawl@", "frugal@"), *OPTIONS).start()
    run = begin(one, folder)
    postgres.sql(url, "ALTER ROLE frugal CONNECTION LIMIT 0")
    postgres.sql(url, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'frugal'")
    answer = one.get("/api/v1/runs", status=503)
    assert answer.code == "STORE_AWAY" and "retry-after" in answer.headers
    postgres.sql(url, "ALTER ROLE frugal CONNECTION LIMIT -1")
    eventually(lambda: is_ready(one), "the node is ready")
    (folder / "go").touch()
    assert ended(one, run)["state"] == "succeeded"
    assert not (folder / "violation").exists()
    postgres.sql(url, "ALTER ROLE frugal CONNECTION LIMIT 3")   # one for the lease, one to write, one to read
    postgres.sql(url, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'frugal'")
    eventually(lambda: one.send("GET", "/api/v1/runs").status == 200, "it lives with three")
    dag = eventually(lambda: (lambda answer: answer.status == 201 and answer.json["id"])(
        one.post("/api/v1/dags", {"name": "chain", "yaml": CHAIN})), "a new DAG")
    assert ended(one, one.trigger(dag))["state"] == "succeeded"


def test_transactions_of_others(postgres, make_daemon, folder):
    """One that only reads, for as long as it likes, changes nothing. One that keeps a table locked holds everything up,
    and no longer than that."""
    url = postgres.database()
    one, two = [make_daemon("--store", url, *OPTIONS).start() for _ in range(2)]
    dag = one.create("chain", CHAIN)["id"]
    with session(postgres, url, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pawl.runs"):
        runs = [node.trigger(dag) for node in (one, two) for _ in range(10)]
        assert {ended(one, run)["state"] for run in runs} == {"succeeded"}
    run = begin(one, folder)
    with session(postgres, url, "LOCK TABLE pawl.attempts IN EXCLUSIVE MODE"):
        (folder / "go").touch()
        eventually(lambda: "end 1" in lines(folder), "the first task's end")
        assert two.run(run)["state"] == "running"
    assert ended(two, run)["state"] == "succeeded"
    assert lines(folder) == ["start 1", "end 1", "second"]


def test_the_database_fails_over(make_daemon, folder):
    """To a standby that has all that was acknowledged, at another address."""
    first, made = Postgres(), []
    try:
        url = first.database()
        with tempfile.TemporaryDirectory(prefix="pawl-pg-") as home:
            if first.user:
                shutil.chown(home, first.user)
            first.call("pg_basebackup", "-h", first.folder, "-U", "pawl", "-D", f"{home}/data", "-R", "-c", "fast")
            second = first.run_server(f"{home}/data", home)
            try:
                first.sql(url, "ALTER SYSTEM SET synchronous_standby_names = '*'")
                first.sql(url, "SELECT pg_reload_conf()")
                eventually(lambda: first.sql(url, "SELECT sync_state FROM pg_stat_replication") == "sync", "a standby")
                both = url.replace("host=", f"target_session_attrs=read-write&host={urllib.parse.quote(home, safe='')},")
                made += [make_daemon("--store", both, *OPTIONS).start() for _ in range(2)]
                one, two = made
                run = begin(one, folder)
                first.stop(signal.SIGQUIT)
                assert two.get("/api/v1/runs", status=503).code == "STORE_AWAY"
                first.call("pg_ctl", "promote", "-D", f"{home}/data")
                eventually(lambda: is_ready(one) and is_ready(two), "both nodes are ready")
                (folder / "go").touch()
                assert ended(two, run)["state"] == "succeeded"
                assert not (folder / "violation").exists()
                assert one.execute("chain", CHAIN)["state"] == "succeeded"
            finally:
                for daemon in made:
                    daemon.signal(signal.SIGQUIT)
                    daemon.wait()
                second.send_signal(signal.SIGQUIT)
                second.wait()
    finally:
        first.close()


RETRIES = """
name: retries
tasks:
  - id: a
    type: shell
    command: |
      echo $$ >> {folder}/tries
      test $(wc -l < {folder}/tries) -ge 2
    retry: {{maxAttempts: 2, initialDelay: 5s, maxDelay: 1h}}
"""


def test_clocks_are_minutes_apart(postgres, make_daemon, tmp_path):
    """Neither leases nor waits for a retry know of it."""
    library = tmp_path / "clock.so"
    subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", library, CLUSTER / "clock.c", "-ldl"], check=True)
    boot_ms, wall_ms = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000000, time.time_ns() // 1000000
    url = postgres.database()
    ahead, behind = [make_daemon("--store", url, *OPTIONS, env={
        "LD_PRELOAD": str(library), "PAWL_CLOCK": f"1:{boot_ms}:{wall_ms + minutes * 60000}",
        "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}).start()
                     for minutes in (20, -20)]
    assert eventually(lambda: len(nodes(behind)) == 2, "two nodes that are alive to each other")
    run = ahead.start_run("retries", RETRIES.format(folder=tmp_path))
    eventually(lambda: behind.run(run)["tasks"][0]["nextAttemptAt"], "a try that failed")
    pids = ahead.worker_pids()
    ahead.kill()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        wait_pid_gone(pid)
    status = ended(behind, run)
    assert status["state"] == "succeeded" and status["completedAt"] >= status["startedAt"]


def test_watching_through_another_node(postgres, make_daemon, folder):
    """pawl runs watch and pawl logs -f end when the run does, whoever drives it."""
    url = postgres.database()
    one, two = [make_daemon("--store", url, *OPTIONS, "--idle-timeout", "1h").start() for _ in range(2)]
    run = begin(one, folder)
    server = ["--server", f"http://127.0.0.1:{two.port}"]
    with subprocess.Popen([pawl_path(), "runs", "watch", run, *server], stdout=subprocess.PIPE, text=True) as watch:
        assert "1 running" in watch.stdout.readline()
        with subprocess.Popen([pawl_path(), "logs", run, "-f", *server], stdout=subprocess.PIPE, text=True) as logs:
            (folder / "go").touch()
            assert "succeeded" in watch.communicate(timeout=PATIENCE)[0] and watch.returncode == 0
            logs.communicate(timeout=PATIENCE)
            assert logs.returncode == 0


BLOCKER = "name: blocker\ntasks: [{{id: a, type: shell, command: 'while ! [ -e {folder}/unblock ]; do sleep 0.1; done'}}]"


def test_a_node_is_back_after_its_workers_gave_up(postgres, make_daemon, folder):
    """What they killed has run, though nothing else than their files says so: it was claimed before a slot was free."""
    url = postgres.database()
    one = make_daemon("--store", url, *OPTIONS, "--slots", "1").start()
    one.execute("brief", dag(*[{"id": f"t{i}", "command": "true"} for i in range(60)])) # else nothing is claimed ahead
    one.start_run("blocker", BLOCKER.format(folder=folder))
    run = one.start_run("guarded", TASK.format(folder=folder))
    claimed = f"SELECT count(*) FROM pawl.attempts a JOIN pawl.active_runs r ON r.run = a.run WHERE r.id = '{run}'"
    eventually(lambda: postgres.sql(url, claimed) == "1", "a claim ahead")
    (folder / "unblock").touch()
    eventually(lambda: lines(folder) == ["start 1"], "the first attempt")
    one.kill()
    wait_pid_gone(int((folder / "pid.1").read_text()))
    for pid in processes_of(one.folder):
        wait_pid_gone(pid)
    one.start()
    check_taken_over(one, run, folder)


def ask_in_vain(node, link):
    """A client asks for a run, and the database falls silent before its commit. What is returned waits for its answer."""
    dag = node.create("chain", CHAIN)["id"]
    link.arms.append(Arm("fence", 1, False, lambda _: link.silence()))
    answers = []
    client = threading.Thread(target=lambda: answers.append(node.post(f"/api/v1/dags/{dag}/runs")))
    client.start()
    eventually(lambda: not link.heard.is_set(), "a commit that goes nowhere")

    def answer():
        client.join()
        return answers[0]
    return answer


def test_a_stop_while_a_client_waits_for_the_database(postgres, wire, make_daemon):
    """What was asked for and is not known to be durable holds nobody up: the client is told to ask again."""
    url = postgres.database()
    link, broken_url = through(wire, postgres, url, 1)
    one = make_daemon("--store", broken_url, *OPTIONS, "--drain", "1s").start()
    answer = ask_in_vain(one, link)
    one.signal(signal.SIGTERM)
    assert one.wait() == 0
    assert answer().status == 503


def test_a_run_is_taken_over_once(postgres, wire, make_daemon, folder):
    """Though it cannot be written down that it was: a second look would find it as it was a moment ago."""
    url = postgres.database()
    link, broken_url = through(wire, postgres, url, 1)
    one, two = make_daemon("--store", url, *OPTIONS).start(), make_daemon("--store", broken_url, *OPTIONS).start()
    run = begin(one, folder)
    met = []
    link.arms += [Arm("loaded", 1, False, met.append), Arm("loaded", 1, True, met.append)]
    one.kill()
    eventually(lambda: len(met) == 2, "a second look")
    check_taken_over(two, run, folder)
    assert two.log().count("taken over from another node") == 1


def test_a_stop_while_the_database_hangs(postgres, wire, make_daemon, folder):
    """It keeps its connections open and says nothing: nobody who waits for it holds up the end for long."""
    url = postgres.database()
    link, broken_url = through(wire, postgres, url, 1)
    one, two = make_daemon("--store", broken_url, *OPTIONS).start(), make_daemon("--store", url, *OPTIONS).start()
    begin(two, folder)
    link.silence()
    one.signal(signal.SIGTERM)
    assert one.wait() == 0
    assert "the database is waited for no longer" in one.log()
    (folder / "go").touch()
    eventually(lambda: "second" in lines(folder), "the run on the other node")


def test_the_second_word_to_stop_while_the_database_hangs(postgres, wire, make_daemon, folder):
    """Ends what runs and waits for nothing, though there is an hour to drain and a client that waits."""
    url = postgres.database()
    link, broken_url = through(wire, postgres, url, 1)
    one = make_daemon("--store", broken_url, *OPTIONS, "--drain", "1h").start()
    begin(one, folder)
    answer = ask_in_vain(one, link)
    one.signal(signal.SIGTERM)
    eventually(lambda: "stopping: no new starts" in one.log(), "it drains")
    one.signal(signal.SIGTERM)
    assert one.wait() == 0
    assert answer().status == 503
    wait_pid_gone(int((folder / "pid.1").read_text()))


def test_a_run_taken_over_is_kept_by_the_next_life(postgres, wire, make_daemon, folder):
    """Its tasks had begun, though it could not be written down that it was read: they go on with their worker."""
    url = postgres.database()
    link, broken_url = through(wire, postgres, url, 1)
    options = ("--lease", "6s", "--workers", "1")      # long enough for a life to begin
    one, two = make_daemon("--store", url, *options).start(), make_daemon("--store", broken_url, *options).start()

    def again(_):
        link.arms.append(Arm("loaded", 1, False, again))
    again(None)
    run = begin(one, folder)
    one.kill()
    eventually(lambda: "start 2" in lines(folder), "the second attempt")
    two.kill()
    link.arms.clear()
    two.start()
    check_taken_over(two, run, folder)
