"""The rows of the bench: each measures pawl, its floor and its rival in turn and yields Figures."""
import contextlib
import re
import shutil
import subprocess
import time
from pathlib import Path

import harness
from figures import Figure, Sweep, median, ratios, row, with_spread
from harness import Daemon, Scratch, Server, floor, interleaved

# ---- shell tasks ----

# Of eight slots; the first is the default.
POOLS = {"pawl": (), "one worker": ("--workers", "1", "--slots", "8")}


def rates(options, tasks, count, width, rounds, durability, pools=("pawl",)):
    """name -> starts a second, of pawl with each of the pools, the bare loop, ninja and make on the same graph."""
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(Scratch())
        ours = {}
        for name in pools:
            daemon = stack.enter_context(Daemon(scratch / name.replace(" ", "-"), "--durability", durability, *POOLS[name]))
            dag = daemon.apply("graph", harness.yaml_of("graph", tasks))
            ours[name] = lambda daemon=daemon, dag=dag: count / daemon.run(dag)
        (scratch / "build.ninja").write_text(harness.ninja_of(tasks))
        (scratch / "Makefile").write_text(harness.make_of(tasks))
        rivals = {}
        if options.rivals:
            rivals = {"ninja": lambda: count / harness.timed(["ninja", "-j", width, "-f", "build.ninja"], scratch),
                      "make": lambda: count / harness.timed(["make", "-s", "-j", width, "all"], scratch)}
            if shutil.which("samu"):
                rivals["samurai"] = lambda: count / harness.timed(["samu", "-j", width], scratch)
        return interleaved(rounds, **ours, bare=lambda: harness.bare_rate(count, width), **rivals)


def rate_figure(what, figures, budget, pool="pawl"):
    share = ratios(figures[pool], figures["bare"])
    rivals = {name: figures[name] for name in ("ninja", "make", "samurai") if name in figures}
    met = median(share) >= budget if budget else None
    if budget:
        met = met and all(median(ratios(figures[pool], values)) > 1 for values in rivals.values())
    return Figure(what, with_spread(figures[pool], "/s"), with_spread(figures["bare"], "/s"),
                  ", ".join(f"{name} {median(values):,.0f}/s (x{median(ratios(figures['pawl'], values)):.2f})"
                            for name, values in rivals.items()),
                  f"{median(share):.2f} ({min(share):.2f} to {max(share):.2f})",
                  f">= {budget:.2f}, faster than rivals" if budget else "", met, figures)


def rate_figures(what, figures, budget):
    yield rate_figure(what, figures, budget)
    for pool in POOLS:
        if pool != "pawl" and pool in figures:
            yield rate_figure(f"{what}, {pool}", figures, budget, pool)


def others(options, count):
    """Rivals that know no graph: their rates on a flat list. parallel is so slow that a twentieth has to do."""
    few = max(20, count // 20)
    return {"xargs": count / harness.timed(["sh", "-c", f"seq {count} | xargs -n 1 -P 8 /bin/true"], "/"),
            "parallel": few / harness.timed(["sh", "-c", f"seq {few} | parallel -j 8 -N0 /bin/true"], "/")}


@row("flat")
def flat(options):
    count = options.scaled(10000)
    for durability in ("full", "relaxed"):
        full = durability == "full"
        figures = rates(options, harness.flat(count), count, 8, options.rounds, durability, POOLS if full else ("pawl",))
        yield from rate_figures(f"flat {count:,} x /bin/true, {durability}", figures, 0.85 if full else None)
    if options.rivals:
        few = others(options, count)
        yield Figure("the same list by tools that know no graph", f"{median(figures['pawl']):,.0f}/s", "",
                     ", ".join(f"{name} {rate:,.0f}/s" for name, rate in few.items()), raw=few)
    with Scratch() as scratch:
        kept = {f"{batch} a commit": [floor("floor_sqlite", scratch / "db", count, batch, "full")["rate"]
                                      for _ in range(options.rounds)] for batch in (1, 4, 16)}
    yield Figure("the records of a task alone: an SQLite loop, full", "",
                 ", ".join(f"{name} {median(rate):,.0f}/s" for name, rate in kept.items()), raw=kept)


@row("sizes")
def sizes(options):
    """How a task's cost grows with the size of its run."""
    series = {"pawl, full": [], "bare loop": [], "ninja": []}
    for count in (10, 100, 1000, options.scaled(10000)):
        figures = rates(options, harness.flat(count), count, 8, max(3, options.rounds // 2), "full")
        series["pawl, full"].append((count, 1e6 / median(figures["pawl"])))
        series["bare loop"].append((count, 1e6 / median(figures["bare"])))
        if "ninja" in figures:
            series["ninja"].append((count, 1e6 / median(figures["ninja"])))
    yield Sweep("tasks", "Cost of a task, flat run, 8 slots", "tasks in the run", "us a task", {k: v for k, v in series.items() if v})
    length = {"pawl, full": []}
    for count in (10, 100, 1000):
        with Scratch() as scratch, Daemon(scratch / "data") as daemon:
            dag = daemon.apply("chain", harness.yaml_of("chain", harness.chains(count, 1)))
            figures = interleaved(max(3, options.rounds // 2), pawl=lambda: daemon.run(dag) / count * 1e6)
        length["pawl, full"].append((count, median(figures["pawl"])))
    yield Sweep("chain", "A step of a chain", "steps", "us a step", length)


@row("chains")
def eight_chains(options):
    count = options.scaled(10000)
    figures = rates(options, harness.chains(count, 8), count, 8, options.rounds, "full", POOLS)
    yield from rate_figures(f"eight chains, {count:,} tasks, full", figures, 0.80)


@row("layers")
def diamonds(options):
    count = options.scaled(4500) // 9 * 9
    tasks = harness.layers(count, 8)
    yield from rate_figures(f"diamond layers, {len(tasks):,} tasks, full",
                            rates(options, tasks, len(tasks), 8, options.rounds, "full", POOLS), None)


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
