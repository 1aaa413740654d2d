"""The store on PostgreSQL: a server of the bench's own, on the disk that data would be on, with fsync."""
import glob
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import harness
from figures import Figure, median, row, with_spread
from harness import BUILD, ROOT, Daemon, Scratch

sys.path.insert(0, str(ROOT / "tests" / "blackbox"))
import postgres  # noqa: E402
from support import eventually  # noqa: E402

HISTORY = 10_000_000
FEW = 1_000
TASKS = 64      # that end with one commit, as on a node whose slots turn over fast


class Server(postgres.Postgres):
    """As the tests have one, but durable and with room. What is not said here is PostgreSQL's default."""

    def start(self):
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(
                [os.path.join(self.bin, "postgres"), "-D", self.data, "-k", self.folder, "-c", "listen_addresses=",
                 "-c", "shared_buffers=256MB", "-c", "max_wal_size=4GB", "-c", "max_connections=200"],
                user=self.user, extra_groups=[] if self.user else None, cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)
        eventually(self.is_ready, "a PostgreSQL server")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def cpu_seconds(self):
        """Of all its processes that live; connections stay open while something is measured."""
        total = 0
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in [self.process.pid, *map(int, children)]:
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except FileNotFoundError:
                continue
            total += int(fields[11]) + int(fields[12])
        return total / os.sysconf("SC_CLK_TCK")

    def counters(self, url):
        """WAL position in bytes and transactions so far."""
        wal, commits = self.sql(url, "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn, (SELECT xact_commit FROM "
                                     "pg_stat_database WHERE datname = current_database())").split("|")
        return int(wal), int(commits)


def drive(url, nodes, seconds, tasks=TASKS):
    """bench/store_pg.c: the store's own code, and nothing else."""
    out = subprocess.run([BUILD / "bench" / "store_pg", url, str(nodes), str(seconds), str(tasks)], check=True,
                         stdout=subprocess.PIPE).stdout
    return json.loads(out)


def watched(server, url, nodes, seconds, tasks=TASKS):
    """The same with what PostgreSQL did meanwhile: WAL bytes a task, share of one CPU."""
    cpu = {}

    def look():
        time.sleep(min(1, seconds / 4))
        cpu["began"], cpu["at"] = server.cpu_seconds(), time.monotonic()
        time.sleep(seconds / 2)
        cpu["share"] = (server.cpu_seconds() - cpu["began"]) / (time.monotonic() - cpu["at"])

    watcher = threading.Thread(target=look)
    before = server.counters(url)[0]
    watcher.start()
    found = drive(url, nodes, seconds, tasks)
    watcher.join()
    found["wal"] = (server.counters(url)[0] - before) / found["tasks"]
    found["cpu"] = cpu["share"]
    return found


def seconds_of(options, full):
    return max(1, options.scaled(full))


def words(found):
    return (f"{found['rate']:,.0f} tasks/s, {found['commits']:,.0f} commits/s (median {found['p50_ms']:.2f} ms, "
            f"p99 {found['p99_ms']:.2f} ms), {found['wal']:,.0f} bytes of WAL a task, PostgreSQL "
            f"{100 * found['cpu']:.0f} % of a CPU")


@row("pg")
def bookkeeping(options):
    """What the database alone allows: no engine, no processes."""
    with Server() as server:
        url = server.database()
        drive(url, 1, 1)
        rounds = [watched(server, url, 1, seconds_of(options, 4)) for _ in range(options.rounds)]
        rates = [found["rate"] for found in rounds]
        best = max(rounds, key=lambda found: found["rate"])
        yield Figure("no-op bookkeeping through PostgreSQL, durable, one node", with_spread(rates, " tasks/s"), "",
                     words(best) + f"; {TASKS} tasks a commit, 5 statements", "", ">= 5,000/s", median(rates) >= 5000,
                     {"rounds": rounds})
        singles = watched(server, url, 1, seconds_of(options, 4), 1)
        yield Figure("the same, one task a commit", f"{singles['rate']:,.0f} tasks/s", "", words(singles), "", "", None, singles)
        for nodes in (2, 4):
            found = watched(server, url, nodes, seconds_of(options, 4))
            yield Figure(f"the same, {nodes} nodes, {TASKS} tasks a commit", f"{found['rate']:,.0f} tasks/s", "", words(found),
                         f"{found['rate'] / median(rates):.2f} x one node", "", None, found)


# ---- history ----

FILL = """
SET synchronous_commit TO off; SET search_path TO pawl;
INSERT INTO dags (id, name, version, task_count, paused, created_ms, updated_ms, deleted_ms, covered_ms)
  VALUES (gen_random_uuid(), 'old', 1, 100, false, 1, 1, 0, 1);
INSERT INTO versions SELECT dag, 1, 100, 1, 'x' FROM dags WHERE name = 'old';
INSERT INTO runs (id, run, dag, version, task_count, state, triggered_by, created_ms, started_ms, cancel_ms, completed_ms,
  failed_count, succeeded_count, skipped_count, canceled_count, scheduled_ms, resolves_source)
  SELECT (lpad(to_hex(1600000000000 + n), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8' ||
    substr(md5(n::text), 4, 15))::uuid, n - 1000000000, (SELECT dag FROM dags WHERE name = 'old'), 1, 100, 'succeeded', 'api',
    1600000000000 + n, 1600000000000 + n, 0, 1600000001000 + n, 0, 100, 0, 0, 0, false FROM generate_series(1, {runs}) n;
INSERT INTO attempts (run, task, number, state, fence, worker, claimed_ms, started_ms, ended_ms, task_state, exit_code, cpu_us,
  max_rss_bytes) SELECT n - 1000000000, t, 1, 'succeeded', n * 100 + t, '00000000-0000-7000-8000-000000000001', 1600000000000 + n,
  1600000000001 + n, 1600000000002 + n, 'succeeded', 0, 700, 1048576 FROM generate_series(1, {runs}) n, generate_series(0, 99) t;
"""


def fill(server, url, attempts):
    """Ended runs of 100 tasks, by SQL."""
    drive(url, 1, 0.1)
    server.sql(url, FILL.format(runs=max(1, attempts // 100)))
    server.sql(url, "VACUUM ANALYZE pawl.attempts")
    server.sql(url, "VACUUM ANALYZE pawl.runs")
    server.sql(url, "CHECKPOINT")


@row("pg-history")
def history(options):
    """Both databases on one server, in turn."""
    with Server() as server:
        few, many = server.database(), server.database()
        fill(server, few, FEW)
        fill(server, many, options.scaled(HISTORY))
        seconds = seconds_of(options, 4)
        found = {"few": [], "many": []}
        for index in range(options.rounds + 1):
            for name, url in (("few", few), ("many", many)):
                one = watched(server, url, 1, seconds)
                if index:
                    found[name].append(one)
        rates = {name: [one["rate"] for one in rounds] for name, rounds in found.items()}
        shares = [b / a for a, b in zip(rates["few"], rates["many"])]
        size = server.sql(many, "SELECT pg_size_pretty(pg_database_size(current_database()))")
        yield Figure(f"bookkeeping with {options.scaled(HISTORY):,} finished attempts ({size})", with_spread(rates["many"], " tasks/s"),
                     f"with {FEW:,}: " + with_spread(rates["few"], " tasks/s"), "", f"{median(shares):.2f} x with few",
                     ">= 1 / 1.2", median(shares) >= 1 / 1.2, found)
        yield pages(server, few, many, options)
        yield held_open(server, many, options)


def pages(server, few, many, options):
    """Lists through a node's API: the newest runs, a page in the middle, and runs in a state; as many on both sides."""
    times = {}
    with Scratch() as scratch:
        for name, url in (("few", few), ("many", many)):
            with Daemon(scratch / name, "--store", url, "--workers", "1", "--slots", "1") as node:
                middle = node.call("GET", "/api/v1/runs?limit=1&offset=2")[0]["runId"]
                targets = ["/api/v1/runs?limit=5", f"/api/v1/runs?limit=5&before={middle}", "/api/v1/runs?state=succeeded&limit=5"]
                for target in targets * 40:
                    began = time.monotonic()
                    found = node.call("GET", target)
                    times.setdefault((name, targets.index(target)), []).append(time.monotonic() - began)
                    assert len(found) == 5, f"{target}: {len(found)} runs"
    shares = [median(times["many", i]) / median(times["few", i]) for i in range(3)]
    return Figure("pages of runs through a node: newest, before, by state", f"{1000 * median(times['many', 1]):.2f} ms",
                  f"with {FEW:,} attempts {1000 * median(times['few', 1]):.2f} ms", "",
                  ", ".join(f"{share:.2f} x" for share in shares), "<= 1.2 x", max(shares) <= 1.2,
                  {f"{name} {i}": values for (name, i), values in times.items()})


def held_open(server, url, options):
    """Somebody begins a transaction, looks at something, and goes for a walk."""
    before = drive(url, 1, seconds_of(options, 6))
    holder = subprocess.Popen([os.path.join(server.bin, "psql"), "-XAtq", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    holder.stdin.write(b"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pawl.nodes;\n")
    holder.stdin.flush()
    holder.stdout.readline()
    found = drive(url, 1, seconds_of(options, 40))
    holder.stdin.close()
    holder.wait()
    first, last = sum(found["slices"][:2]) / 2, sum(found["slices"][-2:]) / 2
    return Figure(f"bookkeeping while a transaction is held open elsewhere, {found['tasks']:,} tasks", f"{found['rate']:,.0f} tasks/s",
                  f"without {before['rate']:,.0f} tasks/s", f"first fifth {first:,.0f}/s, last fifth {last:,.0f}/s",
                  f"last / first {last / first:.2f}", ">= 0.8", last / first >= 0.8, {"before": before, "held": found})


# ---- nodes ----

SLOTS = 128
NAP = 1.0


def naps(count):
    lines = ["name: naps", "placement: node", "tasks:"]
    return "\n".join(lines + [f"  - {{id: t{i}, type: shell, command: [sleep, '{NAP:g}']}}" for i in range(count)]) + "\n"


def run_nodes(server, count, tasks):
    """A run of naps on each of so many nodes; what all of them did in a second, and what the database did for it."""
    url = server.database()
    with Scratch() as scratch:
        nodes = []
        try:
            for index in range(count):
                node = Daemon(scratch / f"n{index}", "--store", url, "--workers", "1", "--slots", str(SLOTS))
                nodes.append(node.__enter__())
            dag = nodes[0].apply("naps", naps(tasks))
            wal, commits = server.counters(url)
            cpu, began = server.cpu_seconds(), time.monotonic()
            runs = [(node, node.trigger(dag)) for node in nodes]
            states = [node.wait(run)["state"] for node, run in runs]
            seconds, cpu = time.monotonic() - began, server.cpu_seconds() - cpu
            assert set(states) == {"succeeded"}, states
            time.sleep(1.2)     # PostgreSQL's counters are late by up to a second
            wal_after, commits_after = server.counters(url)
            return {"rate": count * tasks / seconds, "cpu": cpu / seconds, "wal": (wal_after - wal) / (count * tasks),
                    "commits": (commits_after - commits) / seconds, "cpu_us": 1e6 * cpu / (count * tasks)}
        finally:
            for node in nodes:
                node.__exit__(None, None, None)


@row("pg-nodes")
def nodes(options):
    tasks = max(SLOTS, options.scaled(6 * SLOTS))
    ideal = SLOTS / NAP
    with Server() as server:
        first = None
        for count in (1, 2, 3, 4):
            found = run_nodes(server, count, tasks)
            first = first or found
            yield Figure(f"tasks that sleep {NAP:g} s, {count} node{'s' if count > 1 else ''} of {SLOTS} slots",
                         f"{found['rate']:,.0f} tasks/s", f"all slots always full {count * ideal:,.0f}/s",
                         f"{found['commits']:,.0f} transactions/s, {found['wal']:,.0f} bytes of WAL and {found['cpu_us']:,.0f} us of "
                         f"PostgreSQL's CPU a task, {100 * found['cpu']:.0f} % of a CPU",
                         f"{found['rate'] / first['rate']:.2f} x one node", "grows", found["rate"] >= 0.8 * count * first["rate"], found)
