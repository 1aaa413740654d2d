"""What does not move: memory, wakeups, start, binary, the core alone; and what is big: a million tasks, ten million
attempts of history."""
import re
import shutil
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

import harness
from figures import Figure, Sweep, median, ratios, row, with_spread
from harness import Daemon, Scratch, interleaved


def memory_of(pid):
    """(resident, private) bytes"""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    resident = int(re.search(r"^Rss:\s+(\d+)", text, re.M)[1]) * 1024
    private = sum(int(n) for n in re.findall(r"^Private_\w+:\s+(\d+)", text, re.M)) * 1024
    return resident, private


def switches(pid):
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text(), re.M)[1])
    return total


@row("core")
def core(options):
    """The engine alone; processor time, so that what else runs does not count."""
    rates, words = {}, []
    for width in (1000, 10, 1000000):
        said = [subprocess.run([harness.BUILD / "bench" / "core", str(options.scaled(1000000)), str(width)], check=True,
                               stdout=subprocess.PIPE, text=True).stdout for _ in range(options.rounds)]
        rates[width] = [float(re.search(r"(\d+) completions/s", text)[1]) for text in said]
        words += said
    waiting = [tuple(map(float, re.search(r"task: ([\d.]+) bytes in a graph, ([\d.]+) when", text).groups())) for text in words]
    worst = min(median(values) for values in rates.values())
    yield Figure("scheduling core alone", "; ".join(f"width {width:,}: {median(values) / 1e6:.1f} M/s"
                                                    for width, values in rates.items()),
                 budget=">= 2,000,000 completions/s", met=worst >= 2e6, raw=rates)
    graph, flat = median([w[0] for w in waiting]), median([w[1] for w in waiting])
    yield Figure("a waiting task in the core", f"{graph:.1f} bytes in a graph, {flat:.1f} when all are ready",
                 budget="<= 64 bytes", met=max(graph, flat) <= 64, raw={"graph": graph, "flat": flat})


@row("idle")
def idle(options):
    with Scratch() as scratch:
        ready = []
        for _ in range(options.rounds):
            with Daemon(scratch / "data") as daemon:
                ready.append(daemon.ready_seconds * 1e3)
        with Daemon(scratch / "data") as daemon:
            time.sleep(2)       # what follows a start has happened
            pids = daemon.processes()
            before = sum(map(switches, pids))
            time.sleep(options.idle_seconds)
            wakeups = (sum(map(switches, pids)) - before) / options.idle_seconds
            resident = [memory_of(pid) for pid in pids]
    yield Figure("idle daemon, resident", f"{resident[0][0] / 1e6:.1f} MB ({resident[0][1] / 1e6:.1f} its own)",
                 budget="< 10 MB", met=resident[0][0] < 10e6, raw={"resident": resident})
    workers = resident[1:]
    yield Figure("idle worker, resident", f"{max(workers)[0] / 1e6:.1f} MB ({max(workers)[1] / 1e6:.1f} its own)" if workers
                 else "none", budget="< 4 MB", met=bool(workers) and max(workers)[0] < 4e6)
    yield Figure("idle wakeups, all processes", f"{wakeups:.2f}/s", budget="0/s", met=wakeups == 0)
    yield Figure("exec to ready", with_spread(ready, " ms"), budget="< 50 ms", met=median(ready) < 50)
    stripped = harness.BUILD / "pawl.stripped"
    subprocess.run(["strip", "-o", stripped, harness.PAWL], check=True)
    size = stripped.stat().st_size
    stripped.unlink()
    yield Figure("binary, stripped", f"{size / 1e6:.2f} MB", budget="< 3 MB", met=size < 3e6)


class Peak:
    """The most that a process had resident, looked at five times a second."""

    def __init__(self, pid):
        self.pid, self.bytes, self.stop = pid, 0, threading.Event()
        self.watcher = threading.Thread(target=self.watch)

    def watch(self):
        while not self.stop.wait(0.2):
            self.bytes = max(self.bytes, memory_of(self.pid)[0])

    def __enter__(self):
        self.watcher.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.watcher.join()


@row("million")
def million(options):
    count = options.scaled(1000000)
    with Scratch() as scratch, Daemon(scratch / "data") as daemon:
        with Peak(daemon.process.pid) as peak:
            empty = memory_of(daemon.process.pid)[0]
            began = time.monotonic()
            dag = daemon.apply("million", harness.yaml_of("million", harness.flat(count)))
            applied = time.monotonic() - began
            stored = memory_of(daemon.process.pid)[0]
            time.sleep(2)       # the store's housekeeping after 50 MB of YAML, which a trigger would wait for, is over
            began = time.monotonic()
            run = daemon.trigger(dag)
            acknowledged = (time.monotonic() - began) * 1e3
            daemon.call("GET", f"/api/v1/runs/{run}?taskLimit=1")
            waiting = memory_of(daemon.process.pid)[0]
            status = daemon.wait(run)
        seconds = harness.seconds_between(status["startedAt"], status["completedAt"])
        if status["counts"]["succeeded"] != count:
            raise RuntimeError(f"not all succeeded: {status['counts']}")
        kept = (scratch / "data" / "pawl.db").stat().st_size
    yield Figure(f"one run of {count:,} tasks, full", f"{seconds:,.0f} s, {count / seconds:,.0f}/s, peak {peak.bytes / 1e6:.0f} MB",
                 budget="works, < 500 MB", met=peak.bytes < 500e6, raw={"apply_s": applied})
    yield Figure("its trigger acknowledged", f"{acknowledged:.1f} ms", budget="< 50 ms", met=acknowledged < 50)
    yield Figure("its memory", f"the stored DAG {(stored - empty) / count:.0f} bytes a task (while a version of it is in use), "
                 f"waiting {max(0, waiting - stored) / count:.0f} more")
    yield Figure("a finished attempt on disk", f"{kept / count:.0f} bytes", raw={"bytes": kept / count})


# ---- history ----

TASKS = 10


def multiply(path, runs):
    """Fills a store that holds one ended run of ten tasks with copies of it: older ones, so that they page after it."""
    store = sqlite3.connect(path, isolation_level=None)
    store.execute("PRAGMA synchronous=OFF")
    store.execute("PRAGMA journal_mode=MEMORY")
    names = [column[1] for column in store.execute("PRAGMA table_info(runs)")]
    run = dict(zip(names, store.execute("SELECT * FROM runs").fetchone()))
    attempts = [column[1] for column in store.execute("PRAGMA table_info(attempts)")]
    first = store.execute("SELECT next_base FROM meta").fetchone()[0]
    step = TASKS * 1024
    stamp = int.from_bytes(run["id"][:6], "big")

    def copies():
        for number in range(runs):
            id_ = (stamp - 1 - number).to_bytes(6, "big") + run["id"][6:]
            state = "failed" if number % 100 == 0 else run["state"]
            yield [{**run, "id": id_, "base": first + number * step, "state": state}[name] for name in names]
    store.execute("BEGIN")
    store.executemany(f"INSERT INTO runs VALUES ({','.join('?' * len(names))})", copies())
    others = ", ".join(name for name in attempts if name != "key")
    store.execute("CREATE TEMP TABLE numbers AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)"
                  " SELECT i FROM n", (runs,))
    store.execute(f"INSERT INTO attempts (key, {others}) SELECT ? + i * ? + key - ?, {others} FROM numbers,"
                  " (SELECT * FROM attempts WHERE key BETWEEN ? AND ?)"
                  " ORDER BY i", (first, step, run["base"], run["base"], run["base"] + step - 1))
    store.execute("UPDATE meta SET next_base = ?", (first + runs * step,))
    store.execute("COMMIT")
    store.execute("PRAGMA journal_mode=WAL")
    total = store.execute("SELECT count(*) FROM attempts").fetchone()[0]
    store.close()
    return total


def filled(scratch, name, attempts):
    data = scratch / name
    with Daemon(data) as daemon:
        dag = daemon.apply("template", harness.yaml_of("template", harness.flat(TASKS)))
        daemon.run(dag)
    return data, multiply(data / "pawl.db", attempts // TASKS)


def asked(daemon, scratch, target, count=300):
    return harness.load(daemon.port, 1, count, harness.request("GET", target, daemon.port), scratch)["p50_ms"]


@row("history")
def history(options):
    """Each measure on a store of 1,000 attempts and on one of 10,000,000, in turn."""
    count = options.scaled(1000)
    sizes = [1000, options.scaled(10000000)]
    with Scratch() as scratch:
        (small, _), (large, total) = [filled(scratch, f"s{size}", size) for size in sizes]
        with Daemon(small) as few, Daemon(large) as many:
            flat = harness.yaml_of("work", harness.flat(count))
            work = {daemon: daemon.apply("work", flat) for daemon in (few, many)}
            dags = {daemon: daemon.call("GET", "/api/v1/dags?name=template")[0]["id"] for daemon in (few, many)}
            middle = {daemon: daemon.call("GET", f"/api/v1/runs?dagId={dags[daemon]}&limit=50")[-1]["runId"]
                      for daemon in (few, many)}
            then = {daemon: harness.utc_of(middle[daemon]) for daemon in (few, many)}
            targets = {
                "a page by `before`": lambda d: f"/api/v1/runs?before={middle[d]}&limit=20",
                "a filter by state": lambda d: "/api/v1/runs?state=failed&limit=1",
                "a filter by DAG": lambda d: f"/api/v1/dags/{dags[d]}/runs?limit=20",
                "a filter by DAG and two states": lambda d: f"/api/v1/dags/{dags[d]}/runs?state=failed,canceled&limit=1",
                "a filter by time": lambda d: f"/api/v1/runs?createdBefore={then[d]}&limit=20",
                "DAGs with their last 20 runs": lambda d: "/api/v1/dags?lastRuns=20",
            }
            measures = {f"{what}/{n}": (lambda t=target, d=daemon: asked(d, scratch, t(d)))
                        for what, target in targets.items() for n, daemon in enumerate((few, many))}
            for n, daemon in enumerate((few, many)):
                measures[f"dispatch/{n}"] = lambda d=daemon: d.run(work[d]) / count * 1e3
            figures = interleaved(options.rounds, **measures)
            resident = memory_of(many.process.pid)[0]
        size = (large / "pawl.db").stat().st_size
        shutil.rmtree(large)
    for what in ("dispatch", *targets):
        share = ratios(figures[f"{what}/1"], figures[f"{what}/0"])
        label = f"dispatch of {count:,} tasks, ms a task" if what == "dispatch" else what + ", ms"
        yield Figure(f"{total:,} finished attempts: {label}", with_spread(figures[f"{what}/1"], "", 3),
                     "with 1,000: " + with_spread(figures[f"{what}/0"], "", 3), "",
                     f"{median(share):.2f} ({min(share):.2f} to {max(share):.2f})", "<= 1.2", median(share) <= 1.2,
                     {"large": figures[f"{what}/1"], "small": figures[f"{what}/0"]})
    yield Figure("their store", f"{size / 1e9:.2f} GB, {size / total:.0f} bytes an attempt; daemon {resident / 1e6:.0f} MB resident")


@row("waiting")
def waiting(options):
    """How the daemon's memory grows with what waits."""
    line = {"stored and waiting": []}
    for count in (1000, 10000, 100000, options.scaled(1000000)):
        with Scratch() as scratch, Daemon(scratch / "data", "--workers", "1", "--slots", "1") as daemon:
            tasks = harness.yaml_of("wait", harness.flat(count - 1) , "sleep 3600")
            dag = daemon.apply("wait", tasks)
            run = daemon.trigger(dag)
            daemon.call("GET", f"/api/v1/runs/{run}?taskLimit=1")
            line["stored and waiting"].append((count, memory_of(daemon.process.pid)[0] / 1e6))
    yield Sweep("waiting", "Memory of the daemon with one run that waits", "tasks", "MB", line, log_y=True)
