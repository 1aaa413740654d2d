"""What clients see: triggers, submits, reads, events; and http tasks."""
import contextlib
import http.client
import json
import subprocess
import threading
import time

import harness
from figures import Figure, Sweep, median, percentile, ratios, row, with_spread
from harness import Daemon, Scratch, Server, floor, interleaved

BLOCKED = "name: blocked\ntasks:\n  - {id: t, type: shell, command: sleep 3600}\n"
CLIENTS = (1, 10, 100, 1000)
BUDGET_RATE = 10000


def posts(options, what, request_of, budget):
    """Figures of one kind of POST at each number of clients, and (clients, rate) of both sides. Clients who ask again as
    soon as they are answered say what the rate is; how long one waits then is as much their number as the server (1,000
    of them at 30,000/s wait 33 ms, by Little's law). So the budget's wait is judged at the budget's rate."""
    count = options.scaled(20000)
    lines = {"pawl, full": [], "empty server": []}
    made = []
    for clients in CLIENTS:
        few = count // (10 if clients == 1 else 1)
        judged = budget and clients >= 100
        one_slot = ("--workers", "1", "--slots", "1")
        with contextlib.ExitStack() as stack:
            scratch, empty = stack.enter_context(Scratch()), stack.enter_context(Server())
            daemon = stack.enter_context(Daemon(scratch / "data", *one_slot))
            post = request_of(daemon)
            bare = harness.request("POST", "/", empty.port)
            even = {}
            if judged:      # a daemon of its own: one refuses more than 100,000 runs that have not ended
                other = stack.enter_context(Daemon(scratch / "even", *one_slot))
                there = request_of(other)
                even["even"] = lambda: harness.load(other.port, clients, few, there, scratch, rate=BUDGET_RATE)
            figures = interleaved(
                max(3, options.rounds // 2), pawl=lambda: harness.load(daemon.port, clients, few, post, scratch),
                empty=lambda: harness.load(empty.port, clients, count, bare, scratch), **even)
            kept = floor("floor_sqlite", scratch / "db", min(few, 2000 * clients), clients, "full", "runs")["rate"]
        rate = [f["rate"] for f in figures["pawl"]]
        base = [f["rate"] for f in figures["empty"]]
        p99 = [f["p99_ms"] for f in figures["pawl"]]
        bad = sum(f["client_errors"] + f["server_errors"] for f in figures["pawl"])
        lines["pawl, full"].append((clients, median(rate)))
        lines["empty server"].append((clients, median(base)))
        made.append(Figure(
            f"{what}, {clients} clients, full", with_spread(rate, "/s") + f", p99 {median(p99):.1f} ms",
            f"empty server {median(base):,.0f}/s, SQLite loop ({clients} a commit) {kept:,.0f}/s", "",
            f"{median(ratios(rate, base)):.2f}", f">= {BUDGET_RATE:,}/s" if judged else "",
            (median(rate) >= BUDGET_RATE and bad == 0) if judged else None,
            {"rate": rate, "p99_ms": p99, "refused": bad}))
        if judged:
            waits = [f["p99_ms"] for f in figures["even"]]
            bad = sum(f["client_errors"] + f["server_errors"] for f in figures["even"])
            made.append(Figure(
                f"{what}, {clients} clients, {BUDGET_RATE:,}/s, full",
                f"p50 {median([f['p50_ms'] for f in figures['even']]):.1f} ms, p99 {with_spread(waits, ' ms', 1)}",
                budget="p99 < 20 ms", met=median(waits) < 20 and bad == 0, raw={"p99_ms": waits, "refused": bad}))
    return made, lines


@row("trigger")
def trigger(options):
    made, lines = posts(options, "POST run", lambda daemon: harness.request(
        "POST", f"/api/v1/dags/{daemon.apply('blocked', BLOCKED)}/runs", daemon.port), True)
    yield from made
    yield Sweep("trigger", "Triggers acknowledged, durable", "clients", "POST/s", lines)


@row("submit")
def submit(options):
    yaml = "tasks:\n  - {id: a, type: shell, command: 'true'}\n  - {id: b, type: shell, command: 'true', dependencies: [a]}\n"
    body = json.dumps({"name": "dag-########", "yaml": yaml}).encode()
    made, lines = posts(options, "POST dag", lambda daemon: harness.request("POST", "/api/v1/dags", daemon.port, body), False)
    yield from made
    yield Sweep("submit", "DAGs stored, durable", "clients", "POST/s", lines)


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
        count = options.scaled(40000)
        figures = interleaved(
            options.rounds,
            big=lambda: harness.load(daemon.port, 8, options.scaled(400), big_get, scratch)["rate"],
            light=lambda: harness.load(daemon.port, 8, count, light_get, scratch)["rate"],
            empty=lambda: harness.load(empty.port, 8, count, bare, scratch)["rate"])
    yield Figure("GET run of 10,000 tasks", with_spread(figures["big"], "/s"), budget=">= 200/s",
                 met=median(figures["big"]) >= 200, raw=figures)
    share = ratios(figures["light"], figures["empty"])
    yield Figure("light GET (a DAG)", with_spread(figures["light"], "/s"), "empty server " + with_spread(figures["empty"], "/s"),
                 "", f"{median(share):.2f} ({min(share):.2f} to {max(share):.2f})", ">= 0.50", median(share) >= 0.5)


def listened(daemon, dag, listeners, count):
    """(seconds of the run, what the listeners say) with so many readers of all events."""
    reader = subprocess.Popen(
        [harness.BUILD / "bench" / "listen", str(daemon.port), str(listeners), "/api/v1/events", '"state":"succeeded"',
         str(count + 1)], stdout=subprocess.PIPE, text=True)
    if reader.stdout.readline() != "ready\n":
        raise RuntimeError("the listeners got no stream")
    seconds = daemon.run(dag)
    said = json.loads(reader.stdout.readline())
    reader.wait()
    return seconds, said


@row("events")
def events(options):
    count = options.scaled(1000)
    with Scratch() as scratch, Daemon(scratch / "data") as daemon:
        dag = daemon.apply("seen", harness.yaml_of("seen", harness.flat(count)))
        figures = interleaved(max(3, options.rounds // 2), alone=lambda: daemon.run(dag),
                              one=lambda: listened(daemon, dag, 1, count),
                              many=lambda: listened(daemon, dag, 1000, count))
    slow = [seconds / alone for (seconds, _), alone in zip(figures["many"], figures["alone"])]
    said = [said for _, said in figures["many"]]
    spread = [one["spread_ms"] for one in said]
    megabytes = median([one["bytes"] / 1e6 for one in said])
    yield Figure(f"1,000 listeners, run of {count:,} tasks, all events",
                 f"{min(one['done'] for one in said):,} to {max(one['done'] for one in said):,} saw every end, "
                 f"{max(one['closed'] for one in said)} dropped; {megabytes:,.0f} MB; last after first "
                 + with_spread(spread, " ms"), f"run alone {median(figures['alone']) * 1e3:,.0f} ms",
                 "", f"the run takes x{median(slow):.2f}", raw={"said": said, "slow": slow})


@row("http-tasks")
def http_tasks(options):
    count = options.scaled(20000)
    with Scratch() as scratch, Server() as target, Daemon(scratch / "data", "--slots", "64") as daemon:
        lines = ["name: calls", "tasks:"]
        lines += [f"  - {{id: t{i}, type: http, url: 'http://127.0.0.1:{target.port}/'}}" for i in range(count)]
        dag = daemon.apply("calls", "\n".join(lines) + "\n")
        bare = harness.request("GET", "/", target.port)
        figures = interleaved(options.rounds, pawl=lambda: count / daemon.run(dag),
                              direct=lambda: harness.load(target.port, 64, count, bare, scratch)["rate"])
    yield Figure(f"{count:,} http tasks, full", with_spread(figures["pawl"], "/s"),
                 "bare client " + with_spread(figures["direct"], "/s"), "",
                 f"{median(ratios(figures['pawl'], figures['direct'])):.2f}", ">= 20,000/s",
                 median(figures["pawl"]) >= 20000, figures)


def stamps(path):
    """run -> task -> (seconds, pid)"""
    found = {}
    for line in path.read_text().splitlines():
        run, task, pid, nanoseconds = line.split()
        found.setdefault(run, {})[task] = (int(nanoseconds) / 1e9, int(pid))
    return found


class Lives:
    """What the kernel says of processes meanwhile. May not be had: then it knows nothing."""

    def __enter__(self):
        self.process = subprocess.Popen([harness.BUILD / "bench" / "lives"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout))
        if self.process.stdout.readline() == "ready\n":
            self.reader.start()
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        if self.reader.ident:
            self.reader.join()
        self.process.stdout.close()
        self.process.wait()

    def told(self, what):
        """(pid, parent, seconds) of each exec or exit, in order. After the end alone."""
        told = [line.split() for line in self.lines if line.startswith(what)]
        return [(int(pid), int(parent), int(ns) / 1e9) for _, pid, parent, ns in told]


def bare_gaps(count):
    """Seconds from the end of a program to the exec of the next in the bare loop, one at a time."""
    with Lives() as lives:
        loop = subprocess.Popen([harness.BUILD / "bench" / "floor_spawn", "-c", "1", str(count), "/bin/true"],
                                stdout=subprocess.DEVNULL)
        loop.wait()
        time.sleep(0.1)
    ours = [[at for _, parent, at in lives.told(what) if parent == loop.pid] for what in ("exit", "exec")]
    return [began - ended for ended, began in zip(ours[0], ours[1][1:])]


def pairs(daemon, post, count, scratch):
    """One round: seconds from a's main() to b's, and from a's end to b's exec by the kernel's word; what the load says."""
    path = scratch / "stamps"
    path.touch()
    with Lives() as lives:
        said = harness.load(daemon.port, 50, count, post, scratch, rate=500)
        deadline = time.monotonic() + 60
        while len(path.read_text().splitlines()) < 2 * count and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.1)
    times = [one for one in stamps(path).values() if len(one) == 2]
    path.unlink()
    ended, began = [{pid: at for pid, _, at in lives.told(what)} for what in ("exit", "exec")]
    mains = sorted(one["b"][0] - one["a"][0] for one in times)
    return mains, sorted(began[one["b"][1]] - ended[one["a"][1]] for one in times
                         if one["a"][1] in ended and one["b"][1] in began), said


LATENCIES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999)


@row("latency")
def latency(options):
    """At 1,000 tasks a second: runs of two tasks, triggered 500 times a second whatever the answers do. A task is ready
    when the one that it waits for has ended; where the kernel does not tell, main() to main() is what is judged."""
    count = options.scaled(5000) // 5
    with Scratch() as scratch, Daemon(scratch / "data") as daemon:
        stamp = harness.BUILD / "bench" / "stamp"
        yaml = (f"name: pair\ntasks:\n  - {{id: a, type: shell, command: '{stamp} {scratch}/stamps'}}\n"
                f"  - {{id: b, type: shell, command: '{stamp} {scratch}/stamps', dependencies: [a]}}\n")
        post = harness.request("POST", f"/api/v1/dags/{daemon.apply('pair', yaml)}/runs", daemon.port)
        figures = interleaved(options.rounds, pawl=lambda: pairs(daemon, post, count, scratch),
                              loop=lambda: 1e3 / harness.bare_rate(500, 1), gap=lambda: bare_gaps(500))
    lines, judged = {}, True
    for name, place, floor_ in (
            ("ready to exec", 1, f"bare loop {median([median(g or [0]) for g in figures['gap']]) * 1e3:.2f} ms"),
            ("main() of a task to main() of the next", 0, f"bare start and end {median(figures['loop']):.2f} ms")):
        waits = [one[place] for one in figures["pawl"]]
        if not all(waits):
            continue
        p50, p99 = [[percentile(one, share) * 1e3 for one in waits] for share in (0.5, 0.99)]
        yield Figure(f"{name}, 1,000 tasks/s", f"p50 {with_spread(p50, ' ms', 2)}, p99 {with_spread(p99, ' ms', 2)}",
                     floor_, "", "", "p50 < 1 ms, p99 < 5 ms" if judged else "",
                     median(p50) < 1 and median(p99) < 5 if judged else None, {"p50_ms": p50, "p99_ms": p99})
        every, judged = sorted(wait for one in waits for wait in one), False
        lines[name] = [(percentile(every, share) * 1e3, share * 100) for share in LATENCIES]
    yield Sweep("latency", "Between two tasks, 1,000 tasks/s", "ms", "% of tasks", lines)


def resident(pid):
    with open(f"/proc/{pid}/smaps_rollup") as text:
        return next(int(line.split()[1]) for line in text if line.startswith("Rss:")) * 1024


@row("connections")
def connections(options):
    """Memory of an idle connection that has asked once."""
    with Scratch() as scratch, Daemon(scratch / "data") as daemon:
        before, kept = resident(daemon.process.pid), []
        for _ in range(1000):
            one = http.client.HTTPConnection(daemon.host, daemon.port)
            one.request("GET", "/live")
            one.getresponse().read()
            kept.append(one)
        grown = resident(daemon.process.pid) - before
        for one in kept:
            one.close()
    yield Figure("memory of an idle connection", f"{grown / 1000 / 1024:.1f} KiB (of 1,000)", raw={"bytes": grown / 1000})
