"""What clients see: triggers, submits, reads, events; and http tasks."""
import http.client
import json
import subprocess
import time

import harness
from figures import Figure, Sweep, median, percentile, ratios, row, with_spread
from harness import Daemon, Scratch, Server, floor, interleaved

BLOCKED = "name: blocked\ntasks:\n  - {id: t, type: shell, command: sleep 3600}\n"
CLIENTS = (1, 10, 100, 1000)


def posts(options, what, request_of, budget):
    """Figures of one kind of POST at each number of clients, and (clients, rate) of both sides."""
    count = options.scaled(20000)
    lines = {"pawl, full": [], "empty server": []}
    made = []
    for clients in CLIENTS:
        few = count // (10 if clients == 1 else 1)
        with Scratch() as scratch, Daemon(scratch / "data", "--workers", "1", "--slots", "1") as daemon, Server() as empty:
            post = request_of(daemon)
            bare = harness.request("POST", "/", empty.port)
            figures = interleaved(
                max(3, options.rounds // 2), pawl=lambda: harness.load(daemon.port, clients, few, post, scratch),
                empty=lambda: harness.load(empty.port, clients, count, bare, scratch))
            kept = floor("floor_sqlite", scratch / "db", min(few, 2000 * clients), clients, "full", "runs")["rate"]
        rate = [f["rate"] for f in figures["pawl"]]
        base = [f["rate"] for f in figures["empty"]]
        p99 = [f["p99_ms"] for f in figures["pawl"]]
        bad = sum(f["client_errors"] + f["server_errors"] for f in figures["pawl"])
        lines["pawl, full"].append((clients, median(rate)))
        lines["empty server"].append((clients, median(base)))
        judged = budget and clients >= 100
        made.append(Figure(
            f"{what}, {clients} clients, full", with_spread(rate, "/s") + f", p99 {median(p99):.1f} ms",
            f"empty server {median(base):,.0f}/s, SQLite loop ({clients} a commit) {kept:,.0f}/s", "",
            f"{median(ratios(rate, base)):.2f}", ">= 10,000/s, p99 < 20 ms" if judged else "",
            (median(rate) >= 10000 and median(p99) < 20 and bad == 0) if judged else None,
            {"rate": rate, "p99_ms": p99, "refused": bad}))
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
    """run -> task -> seconds"""
    found = {}
    for line in path.read_text().splitlines():
        run, task, nanoseconds = line.split()
        found.setdefault(run, {})[task] = int(nanoseconds) / 1e9
    return found


@row("latency")
def latency(options):
    """From a task's last instruction to the first of the one that waited for it, at 1,000 tasks a second: runs of two
    tasks, triggered 500 times a second whatever the answers do."""
    count = options.scaled(5000)
    waits, whole = [], []
    with Scratch() as scratch, Daemon(scratch / "data") as daemon:
        stamp = harness.BUILD / "bench" / "stamp"
        yaml = (f"name: pair\ntasks:\n  - {{id: a, type: shell, command: '{stamp} {scratch}/stamps'}}\n"
                f"  - {{id: b, type: shell, command: '{stamp} {scratch}/stamps', dependencies: [a]}}\n")
        post = harness.request("POST", f"/api/v1/dags/{daemon.apply('pair', yaml)}/runs", daemon.port)
        for number in range(options.rounds + 1):
            said = harness.load(daemon.port, 50, count // 5, post, scratch, rate=500)
            path = scratch / "stamps"
            deadline = time.monotonic() + 60
            path.touch()
            while len(path.read_text().splitlines()) < 2 * (count // 5) and time.monotonic() < deadline:
                time.sleep(0.1)
            times = stamps(path)
            path.unlink()
            if number:
                waits.append(sorted(one["b"] - one["a"] for one in times.values() if len(one) == 2))
                whole.append(said["p99_ms"])
    p50 = [percentile(w, 0.5) * 1e3 for w in waits]
    p99 = [percentile(w, 0.99) * 1e3 for w in waits]
    bare = 1e3 / harness.bare_rate(500, 1)
    yield Figure("end of a task to main() of the next, 1,000 tasks/s", f"p50 {with_spread(p50, ' ms', 2)}, p99 {with_spread(p99, ' ms', 2)}",
                 f"bare start and end {bare:.2f} ms", "", "", "ready to exec: p50 < 1 ms, p99 < 5 ms",
                 median(p50) < 1 and median(p99) < 5, {"p50_ms": p50, "p99_ms": p99})
    every = sorted(w for one in waits for w in one)
    line = [(percentile(every, share) * 1e3, share * 100) for share in
            (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999)]
    yield Sweep("latency", "End of a task to main() of the next, 1,000 tasks/s", "ms", "% of tasks", {"pawl, full": line})


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
