"""Recorded workflows: no-op against ninja; scaled to 20 s on 8 slots against a simulated list schedule."""
import heapq
import re
import subprocess
import sys

import harness
from figures import Figure, median, ratios, row, with_spread
from harness import Daemon, Scratch, interleaved

SHARED = harness.ROOT.parent / "shared" / "workloads"
SLOTS = 8


def yaml_of(facts, name, *arguments):
    with Scratch() as scratch:
        subprocess.run([sys.executable, SHARED / "wf2yaml.py", "dag", facts, "-o", scratch / "dag.yaml", *arguments],
                       check=True, stdout=subprocess.DEVNULL)
        return re.sub(r"(?m)^name: .*$", f"name: {name}", (scratch / "dag.yaml").read_text(), count=1)


def tasks_of(yaml):
    """[(duration, [indexes of dependencies])] as the daemon gets them: what each task sleeps."""
    import yaml as reader
    tasks = reader.load(yaml, Loader=getattr(reader, "CSafeLoader", reader.SafeLoader))["tasks"]
    index = {task["id"]: number for number, task in enumerate(tasks)}
    found = []
    for task in tasks:
        words = task["command"] if isinstance(task["command"], list) else task["command"].split()
        found.append((float(words[-1]) if len(words) > 1 else 0.0, [index[d] for d in task.get("dependencies", [])]))
    return found


def simulated(tasks, start_s):
    """The end of a list schedule on 8 slots that knows what pawl knows: the graph, not the durations. A free slot takes
    the ready task with the longest path (in tasks) below it, then the first of the file. Each start costs start_s."""
    dependents = [[] for _ in tasks]
    waits = [len(dependencies) for _, dependencies in tasks]
    for number, (_, dependencies) in enumerate(tasks):
        for dependency in dependencies:
            dependents[dependency].append(number)
    order, left = [n for n, count in enumerate(waits) if not count], list(waits)
    for number in order:
        for dependent in dependents[number]:
            left[dependent] -= 1
            if not left[dependent]:
                order.append(dependent)
    rank = [1] * len(tasks)
    for number in reversed(order):
        rank[number] = 1 + max((rank[d] for d in dependents[number]), default=0)
    ready = [(-rank[n], n) for n, count in enumerate(waits) if not count]
    heapq.heapify(ready)
    running, now = [], 0.0
    while ready or running:
        while ready and len(running) < SLOTS:
            _, number = heapq.heappop(ready)
            heapq.heappush(running, (now + start_s + tasks[number][0], number))
        now, number = heapq.heappop(running)
        for dependent in dependents[number]:
            waits[dependent] -= 1
            if not waits[dependent]:
                heapq.heappush(ready, (-rank[dependent], dependent))
    return now


def chosen(options):
    found = sorted(SHARED.glob("*.facts.yaml")) if SHARED.is_dir() else []
    wanted = options.workflows.split(",") if options.workflows else None
    return [facts for facts in found if not wanted or facts.name.split("-")[0] in wanted]


def none_there(what):
    return Figure(what, f"not measured: {SHARED} is not there")


@row("noop")
def noop(options):
    if not chosen(options):
        yield none_there("recorded workflows, no-op")
    for facts in chosen(options):
        name = facts.name.split(".")[0]
        with Scratch() as scratch, Daemon(scratch / "full") as full, \
                Daemon(scratch / "relaxed", "--durability", "relaxed") as relaxed:
            yaml = yaml_of(facts, name, "--noop")
            dags = {daemon: daemon.apply(name, yaml) for daemon in (full, relaxed)}
            subprocess.run([sys.executable, SHARED / "to_ninja.py", facts, scratch], check=True, stdout=subprocess.DEVNULL)
            figures = interleaved(options.rounds, full=lambda: full.run(dags[full]) * 1e3,
                                  relaxed=lambda: relaxed.run(dags[relaxed]) * 1e3,
                                  ninja=lambda: harness.timed(["ninja", "-j", SLOTS], scratch) * 1e3)
        share = ratios(figures["full"], figures["ninja"])
        count = yaml.count("- id:") or len(tasks_of(yaml))
        yield Figure(f"{name} ({count:,} tasks), no-op, full", with_spread(figures["full"], " ms")
                     + f"; relaxed {median(figures['relaxed']):,.0f} ms", "", "ninja " + with_spread(figures["ninja"], " ms"),
                     f"{median(share):.2f} ({min(share):.2f} to {max(share):.2f})", "faster than ninja",
                     median(share) < 1, figures)


@row("scaled")
def scaled(options):
    if not chosen(options):
        yield none_there("recorded workflows, scaled")
    for facts in chosen(options):
        name = facts.name.split(".")[0]
        start_s = 1 / harness.bare_rate(500, 1)
        yaml = yaml_of(facts, name, "--makespan", str(20 * options.scale), "--slots", str(SLOTS))
        bound = simulated(tasks_of(yaml), start_s)
        taken = {}
        for durability in ("full", "relaxed") if options.relaxed else ("full",):
            with Scratch() as scratch, Daemon(scratch / "data", "--durability", durability) as daemon:
                dag = daemon.apply(name, yaml)
                taken[durability] = [daemon.run(dag) for _ in range(options.scaled_rounds)]
        share = [seconds / bound for seconds in taken["full"]]
        more = f"; relaxed {median(taken['relaxed']):.2f} s" if "relaxed" in taken else ""
        yield Figure(f"{name}, scaled to {20 * options.scale:g} s on 8 slots, full", with_spread(taken["full"], " s", 2) + more,
                     f"list schedule {bound:.2f} s", "", f"{median(share):.3f} ({min(share):.3f} to {max(share):.3f})",
                     "<= 1.03", median(share) <= 1.03, {**taken, "simulated": bound, "start_s": start_s})
