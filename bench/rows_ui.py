"""The web UI in Debian's Chromium: first paint, a long list, a run of thousands of tasks, its states live."""
import json
import os
import shutil
import subprocess

import harness
from figures import Figure, median, ratios, row, with_spread
from harness import Daemon, Scratch
from rows_size import TASKS, filled

HERE = harness.ROOT / "bench"
HZ, SECONDS = 10, 5


def lacks():
    """Why the browser cannot be used, or None."""
    if not os.environ.get("CHROMIUM") and not shutil.which("chromium"):
        return "there is no chromium"
    if not shutil.which("node"):
        return "there is no node"
    done = subprocess.run([harness.ROOT / "tests/ui/modules", harness.ROOT / "tests/ui"], capture_output=True, text=True)
    return done.stderr.strip() or "the modules of tests/ui cannot be installed" if done.returncode else None


def measure(name, **settings):
    done = subprocess.run(["node", HERE / "ui.mjs", name], input=json.dumps(settings), stdout=subprocess.PIPE, text=True, check=True)
    figures = json.loads(done.stdout)
    if figures["findings"]:
        raise RuntimeError(f"{name}: {figures['findings'][:3]}")
    return figures


def first_paint(daemon, rounds):
    taken = measure("first-paint", origin=f"http://127.0.0.1:{daemon.port}", rounds=rounds)
    share = ratios(taken["pawl"], taken["blank"])
    return Figure("web UI: first paint, nothing kept", with_spread(taken["pawl"], " ms"), "a blank page " + with_spread(taken["blank"], " ms"),
                  "", f"{median(share):.2f} ({min(share):.2f} to {max(share):.2f})", "< 200 ms", median(taken["pawl"]) < 200, taken)


def long_list(scratch, runs, rounds):
    few, _ = filled(scratch, "few", 10 * TASKS)
    many, _ = filled(scratch, "many", runs * TASKS)
    with Daemon(few) as small, Daemon(many) as large:
        taken = measure("list", small=f"http://127.0.0.1:{small.port}", large=f"http://127.0.0.1:{large.port}", rounds=rounds)
    share = ratios(taken["large"], taken["small"])
    yield Figure(f"web UI: the list of runs, {runs:,} in the store", with_spread(taken["large"], " ms"), "with 10: " + with_spread(taken["small"], " ms"), "",
                 f"{median(share):.2f} ({min(share):.2f} to {max(share):.2f})", "< 100 ms", median(taken["large"]) < 100, taken)
    yield Figure("web UI: the same, failed ones only", with_spread(taken["filtered"], " ms"), budget="< 100 ms", met=median(taken["filtered"]) < 100)


def spread_of(taken, name, unit=" ms", digits=1):
    return with_spread([one[name] for one in taken], unit, digits)


def large_run(daemon, count, run_id, rounds):
    taken = measure("run", origin=f"http://127.0.0.1:{daemon.port}", runId=run_id, rounds=rounds)
    yield Figure(f"web UI: a run of {count:,} tasks, until its page can be used", with_spread(taken["usable"], " ms"),
                 budget="< 500 ms", met=median(taken["usable"]) < 500, raw=taken)
    yield Figure("web UI: its graph, until all of it is drawn", with_spread(taken["drawn"], " ms"))
    pan = median([one["p95"] for one in taken["pan"]])
    yield Figure("web UI: its graph dragged, ms a frame, p95", spread_of(taken["pan"], "p95", ""), "a blank page " + spread_of(taken["blankPan"], "p95", ""),
                 budget="< 20 ms", met=pan < 20)
    heap = [bytes_ / 1e6 for bytes_ in taken["heap"]]
    yield Figure("web UI: its JS heap after that", with_spread(heap, " MB", 1), budget="< 30 MB", met=median(heap) < 30)


def all_live(daemon, count, run_id, rounds):
    """Dropped: two frames more than 25 ms apart. Met when no more are dropped than on a blank page."""
    taken = measure("live", origin=f"http://127.0.0.1:{daemon.port}", runId=run_id, hz=HZ, seconds=SECONDS, rounds=rounds)
    bare = median([one["dropped"] for one in taken["blank"]])
    floor = f"a blank page {spread_of(taken['blank'], 'dropped', '', 0)} of {taken['blank'][0]['count']}"
    for view in ("graph", "timeline"):
        dropped = median([one["dropped"] for one in taken[view]])
        yield Figure(f"web UI: {count:,} states at {HZ} Hz, {view}: frames dropped in {SECONDS} s",
                     f"{spread_of(taken[view], 'dropped', '', 0)} of {taken[view][0]['count']}; p95 {spread_of(taken[view], 'p95')}", floor,
                     budget="none more than a blank page", met=dropped <= bare, raw={"frames": taken[view], "blank": taken["blank"]})
    heap = [bytes_ / 1e6 for bytes_ in taken["heap"]]
    yield Figure("web UI: JS heap after that", with_spread(heap, " MB", 1), budget="< 30 MB", met=median(heap) < 30)


def checked(measure_all):
    """A row of these: without a browser it says so."""
    def taken(options):
        reason = lacks()
        if reason:
            yield Figure("web UI", f"not taken: {reason}")
            return
        with Scratch() as scratch:
            yield from measure_all(options, scratch, max(3, options.rounds))
    return taken


def ran(daemon, count):
    """A run of so many tasks that has ended: layers of 50, each waiting for the one before."""
    dag = daemon.apply("large", harness.yaml_of("large", harness.layers(count, 49)))
    run_id = daemon.trigger(dag)
    daemon.wait(run_id)
    return run_id


@row("ui")
@checked
def ui(options, scratch, rounds):
    count = options.scaled(5000)
    with Daemon(scratch / "data") as daemon:
        yield first_paint(daemon, rounds)
        yield from large_run(daemon, count, ran(daemon, count), rounds)
    yield Figure("web UI: violations of its policy, requests elsewhere", "0 (one fails the row)", budget="0", met=True)


@row("ui-live")
@checked
def ui_live(options, scratch, rounds):
    count = options.scaled(5000)
    with Daemon(scratch / "data") as daemon:
        yield from all_live(daemon, count, ran(daemon, count), rounds)


@row("ui-list")
@checked
def ui_list(options, scratch, rounds):
    yield from long_list(scratch, options.scaled(100000), rounds)
