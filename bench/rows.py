"""The rows of the bench: each measures pawl, its floor and its rival in turn and yields Figures."""
import os
import re
import shutil
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import harness
from harness import Daemon, Scratch, Server, floor, interleaved, spread

ROWS = {}


@dataclass
class Figure:
    what: str
    pawl: str
    floor: str = ""
    rival: str = ""
    ratio: str = ""
    budget: str = ""
    met: bool = None            # None: no budget
    raw: dict = field(default_factory=dict)


def row(name):
    def add(function):
        ROWS[name] = function
        return function
    return add


def with_spread(values, unit=""):
    median, low, high = spread(values)
    return f"{median:,.0f}{unit} ({low:,.0f} to {high:,.0f})"


def ratios(a, b):
    """The ratio of each round: what two figures taken side by side say of each other."""
    return [x / y for x, y in zip(a, b)]


def median(values):
    return statistics.median(values)


# ---- shell tasks ----

def rates(options, tasks, count, width, rounds, durability):
    """name -> starts a second, of pawl, the bare loop, ninja and make on the same graph."""
    with Scratch() as scratch, Daemon(scratch / "data", "--durability", durability) as daemon:
        dag = daemon.apply("graph", harness.yaml_of("graph", tasks))
        (scratch / "build.ninja").write_text(harness.ninja_of(tasks))
        (scratch / "Makefile").write_text(harness.make_of(tasks))
        rivals = {}
        if options.rivals:
            rivals = {"ninja": lambda: count / harness.timed(["ninja", "-j", width, "-f", "build.ninja"], scratch),
                      "make": lambda: count / harness.timed(["make", "-s", "-j", width, "all"], scratch)}
            if shutil.which("samu"):
                rivals["samurai"] = lambda: count / harness.timed(["samu", "-j", width], scratch)
        return interleaved(rounds, pawl=lambda: count / daemon.run(dag),
                           bare=lambda: harness.bare_rate(count, width), **rivals)


def rate_figure(what, figures, budget):
    share = ratios(figures["pawl"], figures["bare"])
    rivals = {name: figures[name] for name in ("ninja", "make", "samurai") if name in figures}
    met = median(share) >= budget if budget else None
    if budget:
        met = met and all(median(ratios(figures["pawl"], values)) > 1 for values in rivals.values())
    return Figure(what, with_spread(figures["pawl"], "/s"), with_spread(figures["bare"], "/s"),
                  ", ".join(f"{name} {median(values):,.0f}/s (x{median(ratios(figures['pawl'], values)):.2f})"
                            for name, values in rivals.items()),
                  f"{median(share):.2f} ({min(share):.2f} to {max(share):.2f})",
                  f">= {budget:.2f}, faster than rivals" if budget else "", met, figures)


@row("flat")
def flat(options):
    count = options.scaled(10000)
    for durability in ("full", "relaxed"):
        figures = rates(options, harness.flat(count), count, 8, options.rounds, durability)
        yield rate_figure(f"flat {count:,} x /bin/true, {durability}", figures, 0.85 if durability == "full" else None)


@row("chains")
def eight_chains(options):
    count = options.scaled(10000)
    figures = rates(options, harness.chains(count, 8), count, 8, options.rounds, "full")
    yield rate_figure(f"eight chains, {count:,} tasks, full", figures, 0.80)


@row("layers")
def diamonds(options):
    count = options.scaled(4500) // 9 * 9
    tasks = harness.layers(count, 8)
    yield rate_figure(f"diamond layers, {len(tasks):,} tasks, full",
                      rates(options, tasks, len(tasks), 8, options.rounds, "full"), None)


@row("chain")
def chain(options):
    count = options.scaled(1000)
    tasks = harness.chains(count, 1)
    with Scratch() as scratch, Daemon(scratch / "data") as daemon:
        dag = daemon.apply("chain", harness.yaml_of("chain", tasks))
        (scratch / "build.ninja").write_text(harness.ninja_of(tasks))
        figures = interleaved(
            options.rounds,
            pawl=lambda: daemon.run(dag) / count * 1e6,
            bare=lambda: 1e6 / harness.bare_rate(count, 1),
            sync=lambda: floor("floor_sync", scratch / "sync", 500, 8192)["median_us"],
            ninja=lambda: harness.timed(["ninja", "-j", 8], scratch) / count * 1e6)
    own = [p - b - s for p, b, s in zip(figures["pawl"], figures["bare"], figures["sync"])]
    met = median(own) <= 150 and median(figures["pawl"]) < median(figures["ninja"])
    yield Figure(f"a step of a chain of {count:,}, full", with_spread(figures["pawl"], " us"),
                 f"start {median(figures['bare']):.0f} us + sync {median(figures['sync']):.0f} us",
                 f"ninja {median(figures['ninja']):.0f} us",
                 f"{median(own):+.0f} us ({min(own):+.0f} to {max(own):+.0f})",
                 "<= start + sync + 150 us, faster than ninja", met, figures)


# ---- recorded workflows ----

SHARED = harness.ROOT.parent / "shared" / "workloads"


def workflow_yaml(facts, *arguments):
    return subprocess.run(["python3", SHARED / "wf2yaml.py", "dag", facts, *arguments], check=True,
                          stdout=subprocess.PIPE, text=True).stdout


@row("workflows")
def workflows(options):
    """No-op: against ninja on the same graph."""
    for facts in sorted(SHARED.glob("*.facts.yaml")):
        name = facts.name.split(".")[0]
        with Scratch() as scratch, Daemon(scratch / "data") as daemon:
            dag = daemon.apply(name, re.sub(r"(?m)^name: .*$", f"name: {name}", workflow_yaml(facts, "--noop"), count=1))
            subprocess.run(["python3", SHARED / "to_ninja.py", facts, scratch], check=True, stdout=subprocess.DEVNULL)
            figures = interleaved(options.rounds, pawl=lambda: daemon.run(dag) * 1e3,
                                  ninja=lambda: harness.timed(["ninja", "-j", 8], scratch) * 1e3)
        share = ratios(figures["pawl"], figures["ninja"])
        yield Figure(f"{name}, no-op", with_spread(figures["pawl"], " ms"), "", with_spread(figures["ninja"], " ms"),
                     f"{median(share):.2f}", "faster than ninja", median(share) < 1, figures)


# ---- HTTP ----

@row("http")
def http(options):
    blocked = "name: blocked\ntasks:\n  - {id: t, type: shell, command: sleep 3600}\n"
    count = options.scaled(20000)
    for clients in (1, 10, 100, 1000):
        with Scratch() as scratch, Daemon(scratch / "data", "--workers", "1", "--slots", "1") as daemon, Server() as empty:
            dag = daemon.apply("blocked", blocked)
            post = harness.request("POST", f"/api/v1/dags/{dag}/runs", daemon.port)
            bare = harness.request("POST", "/", empty.port)
            figures = interleaved(
                max(1, options.rounds // 2),
                pawl=lambda: harness.load(daemon.port, clients, count // (10 if clients == 1 else 1), post, scratch),
                empty=lambda: harness.load(empty.port, clients, count, bare, scratch))
        rate = [f["rate"] for f in figures["pawl"]]
        p99 = [f["p99_ms"] for f in figures["pawl"]]
        bad = sum(f["client_errors"] + f["server_errors"] for f in figures["pawl"])
        has_budget = clients >= 100
        yield Figure(f"POST run, {clients} clients, full", with_spread(rate, "/s") + f", p99 {median(p99):.1f} ms",
                     f"empty server {median([f['rate'] for f in figures['empty']]):,.0f}/s", "",
                     f"{median(rate) / median([f['rate'] for f in figures['empty']]):.2f}",
                     ">= 10,000/s, p99 < 20 ms" if has_budget else "",
                     (median(rate) >= 10000 and median(p99) < 20 and bad == 0) if has_budget else None,
                     {"rate": rate, "p99_ms": p99, "refused": bad})


@row("reads")
def reads(options):
    with Scratch() as scratch, Daemon(scratch / "data") as daemon, Server() as empty:
        dag = daemon.apply("big", harness.yaml_of("big", harness.flat(10000)))
        run = daemon.trigger(dag)
        daemon.wait(run)
        small = daemon.apply("small", harness.yaml_of("small", harness.flat(1)))
        big_get = harness.request("GET", f"/api/v1/runs/{run}", daemon.port)
        light_get = harness.request("GET", f"/api/v1/dags/{small}", daemon.port)
        bare = harness.request("GET", "/", empty.port)
        figures = interleaved(
            options.rounds,
            big=lambda: harness.load(daemon.port, 8, 400, big_get, scratch)["rate"],
            light=lambda: harness.load(daemon.port, 8, options.scaled(20000), light_get, scratch)["rate"],
            empty=lambda: harness.load(empty.port, 8, options.scaled(20000), bare, scratch)["rate"])
    yield Figure("GET run of 10,000 tasks", with_spread(figures["big"], "/s"), budget=">= 200/s",
                 met=median(figures["big"]) >= 200, raw=figures)
    share = ratios(figures["light"], figures["empty"])
    yield Figure("light GET", with_spread(figures["light"], "/s"), with_spread(figures["empty"], "/s"), "",
                 f"{median(share):.2f}", ">= 0.50", median(share) >= 0.5)


@row("tasks")
def http_tasks(options):
    count = options.scaled(20000)
    with Scratch() as scratch, Server() as target, Daemon(scratch / "data", "--slots", "64") as daemon:
        lines = ["name: calls", "tasks:"]
        lines += [f"  - {{id: t{i}, type: http, url: 'http://127.0.0.1:{target.port}/'}}" for i in range(count)]
        dag = daemon.apply("calls", "\n".join(lines) + "\n")
        bare = harness.request("GET", "/", target.port)
        figures = interleaved(options.rounds, pawl=lambda: count / daemon.run(dag),
                              direct=lambda: harness.load(target.port, 64, count, bare, scratch)["rate"])
    yield Figure(f"{count:,} http tasks", with_spread(figures["pawl"], "/s"), with_spread(figures["direct"], "/s"), "",
                 f"{median(ratios(figures['pawl'], figures['direct'])):.2f}", ">= 20,000/s",
                 median(figures["pawl"]) >= 20000, figures)


# ---- size ----

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
    workers = [r[0] for r in resident[1:]]
    yield Figure("idle daemon, resident", f"{resident[0][0] / 1e6:.1f} MB ({resident[0][1] / 1e6:.1f} its own)",
                 budget="< 10 MB", met=resident[0][0] < 10e6)
    yield Figure("idle worker, resident", f"{max(workers) / 1e6:.1f} MB" if workers else "none", budget="< 4 MB",
                 met=bool(workers) and max(workers) < 4e6)
    yield Figure("idle wakeups, all processes", f"{wakeups:.2f}/s", budget="0/s", met=wakeups == 0)
    yield Figure("exec to ready", with_spread(ready, " ms"), budget="< 50 ms", met=median(ready) < 50)
    stripped = harness.BUILD / "pawl.stripped"
    subprocess.run(["strip", "-o", stripped, harness.PAWL], check=True)
    size = stripped.stat().st_size
    stripped.unlink()
    yield Figure("binary, stripped", f"{size / 1e6:.2f} MB", budget="< 3 MB", met=size < 3e6)


@row("million")
def million(options):
    count = options.scaled(1000000)
    with Scratch() as scratch, Daemon(scratch / "data", "--slots", "8") as daemon:
        dag = daemon.apply("million", harness.yaml_of("million", harness.flat(count)))
        peak, stop = [0], threading.Event()

        def watch():
            while not stop.wait(0.2):
                peak[0] = max(peak[0], memory_of(daemon.process.pid)[0])
        watcher = threading.Thread(target=watch)
        watcher.start()
        began = time.monotonic()
        run = daemon.trigger(dag)
        acknowledged = (time.monotonic() - began) * 1e3
        status = daemon.wait(run)
        stop.set()
        watcher.join()
        seconds = harness.seconds_between(status["startedAt"], status["completedAt"])
        if status["counts"]["succeeded"] != count:
            raise RuntimeError(f"not all succeeded: {status['counts']}")
    yield Figure(f"one run of {count:,} tasks", f"{seconds:,.0f} s, {count / seconds:,.0f}/s, peak {peak[0] / 1e6:.0f} MB",
                 budget="works, < 500 MB", met=peak[0] < 500e6)
    yield Figure(f"its trigger acknowledged", f"{acknowledged:.1f} ms", budget="< 50 ms", met=acknowledged < 50)
