#!/usr/bin/env python3
"""make cluster: nodes on one PostgreSQL are killed, paused, frozen, cut off and drained, and so is PostgreSQL, while
DAGs run whose tasks write a ledger; judge.py compares the ledger with what the nodes and the tables say.

    campaign.py [--scenarios N] [--seconds S] [--seed N] [--lanes N] [--progress FILE] [--plain] [--scenario N]
                [--older PROGRAM]...

A scenario is a new database, two to four nodes, runs asked for through all of them, one to six things that go wrong (at
random moments, or at a statement with a name: wire.py), the repair, the wait until everything has ended, and the check.
Scenario S of seed N is planned again by --seed N --scenario S. With --progress the sums are kept in FILE and the next
call goes on there. A lane is a PostgreSQL server and its nodes; each node has a network namespace (--plain, or no
permission: loopback, and a proxy that falls silent). With --older nodes begin with an older program and are exchanged
for the new one while all that goes on (exchange.py). Exit status 1 when anything was found. PAWL names the program."""
import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "blackbox"))
from nodes import make_places  # noqa: E402
from postgres import Postgres  # noqa: E402
from scenario import Scenario  # noqa: E402
from wire import LABELS, QUIET, Wire  # noqa: E402

PAWL = str(Path(os.environ.get("PAWL", HERE.parent.parent / "build" / "pawl")).resolve())
NODES_MAX = 4


def build(into):
    cc = ["cc", "-std=gnu17", "-D_GNU_SOURCE", "-O2"]
    subprocess.run([*cc, "-o", into / "ledger", HERE / "ledger.c"], check=True)
    subprocess.run([*cc, "-shared", "-fPIC", "-o", into / "clock.so", HERE / "clock.c", "-ldl"], check=True)


class Lane:
    """What scenarios one after the other share."""

    def __init__(self, options, tools):
        self.options, self.tools, self.pawl = options, tools, PAWL
        self.postgres = Postgres()
        self.wire = Wire()
        self.places = make_places(NODES_MAX, options.plain)

    def run(self, number):
        path = Path(tempfile.mkdtemp(prefix="pawl-cluster-"))
        scenario = Scenario(self, path, random.Random(self.options.seed * 1000003 + number))
        began = time.monotonic()
        try:
            scenario.run()
        except Exception as problem:    # whatever it is: the campaign goes on, and says so
            where = traceback.extract_tb(problem.__traceback__)[-1]
            scenario.violations.append(f"the campaign itself: {problem!r} in {where.name}, line {where.lineno}")
        finally:
            scenario.close()
        if scenario.violations:
            (path / "violations").write_text("\n".join([*scenario.story, *scenario.violations]) + "\n")
        else:
            shutil.rmtree(path)
        return {"number": number, "seconds": time.monotonic() - began, "runs": len(scenario.runs), "path": str(path),
                "faults": scenario.faults, "waits": scenario.waits, "attempts": scenario.attempts,
                "violations": scenario.violations, "story": scenario.story}

    def close(self):
        self.wire.close()
        for place in self.places:
            place.close()
        self.postgres.close()


def run_lane(options, tools, asked, told):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lane = Lane(options, tools)
    try:
        for number in iter(asked.get, None):
            told.put(lane.run(number))
    finally:
        lane.close()
        told.put(None)


class Sums:
    """What a campaign has done so far, over all calls with one progress file."""

    def __init__(self, options):
        self.path, self.seed = options.progress, options.seed
        self.kept = {"seed": options.seed, "next": 0, "done": 0, "runs": 0, "attempts": 0, "violations": 0, "bad": [],
                     "seconds": 0.0, "faults": {}, "waits": [], "open": []}
        if self.path and self.path.exists():
            self.kept = json.loads(self.path.read_text())
            if self.kept["seed"] != options.seed:
                sys.exit(f"campaign: {self.path} is of seed {self.kept['seed']}")
        self.again = self.kept["open"]      # planned when the last call was ended
        self.kept["open"] = []

    def next(self):
        if self.again:
            number = self.again.pop(0)
        else:
            number = self.kept["next"]
            self.kept["next"] += 1
        self.kept["open"].append(number)
        return number

    def add(self, result):
        kept = self.kept
        kept["open"].remove(result["number"])
        kept["done"] += 1
        for name in ("runs", "attempts", "seconds"):
            kept[name] += result[name]
        kept["faults"] = Counter(kept["faults"]) + Counter(result["faults"])
        kept["waits"] += result["waits"]
        kept["violations"] += len(result["violations"])
        if result["violations"]:
            kept["bad"].append(result["number"])
        self.save()

    def save(self):
        if self.path:
            draft = self.path.with_suffix(".new")
            draft.write_text(json.dumps(self.kept | {"open": self.kept["open"] + self.again}))
            draft.rename(self.path)

    def report(self):
        kept = self.kept
        for name, count in sorted(kept["faults"].items()):
            print(f"{count:6} {name}")
        met = {name.split(":")[1] for name in kept["faults"] if name.startswith("point:")}
        missed = sorted(set(LABELS) - QUIET - met)
        if missed:
            print(f"no point was met at: {', '.join(missed)}")
        waits = sorted(kept["waits"])
        if waits:
            print(f"taken over after {waits[len(waits) // 2]:.2f} leases in the middle, {waits[-1]:.2f} at the most "
                  f"({len(waits)} tasks that ran on a node that was gone)")
        print(f"{kept['done']} scenarios, {sum(kept['faults'].values())} faults, {kept['runs']} runs, "
              f"{kept['attempts']} attempts, {kept['violations']} violations, seed {self.seed}"
              + (f", found in scenarios {kept['bad']}" if kept["bad"] else ""))


def campaign(options, tools):
    sums = Sums(options)
    asked, told = multiprocessing.Queue(), multiprocessing.Queue()
    lanes = [multiprocessing.Process(target=run_lane, args=(options, tools, asked, told)) for _ in range(options.lanes)]
    for lane in lanes:
        lane.start()
    until, given, open_lanes = time.monotonic() + options.seconds, 0, len(lanes)
    before = sums.kept["violations"]
    stop = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.append(True))

    def give():
        nonlocal given
        if given < options.scenarios and time.monotonic() < until and not stop:
            given += 1
            asked.put(options.scenario if options.scenario is not None else sums.next())
        else:
            asked.put(None)
    for _ in lanes:
        give()
    while open_lanes:
        result = told.get()
        if result is None:
            open_lanes -= 1
            continue
        if options.scenario is None:
            sums.add(result)
        else:
            sums.kept["open"].append(result["number"])
            sums.add(result)
        print(f"scenario {result['number']}: {result['seconds']:.1f} s, {result['runs']} runs, {result['story'][0]}; "
              f"{sums.kept['done']} done, {sums.kept['violations']} violations", file=sys.stderr, flush=True)
        if result["violations"]:
            print(f"scenario {result['number']} of seed {options.seed} ({result['path']} is kept):")
            for line in [*result["story"], *result["violations"]]:
                print(f"  {line}")
            sys.stdout.flush()
        give()
    for lane in lanes:
        lane.join()
    sums.save()
    sums.report()
    return 1 if sums.kept["violations"] > before else 0


def program(path):
    if not os.access(path, os.X_OK):
        raise argparse.ArgumentTypeError(f"{path} is no program")
    return str(Path(path).resolve())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("--scenarios", type=int, default=60, help="so many in this call")
    parser.add_argument("--seconds", type=float, default=3600, help="no new one after so long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scenario", type=int, help="this one alone")
    parser.add_argument("--lanes", type=int, default=1)
    parser.add_argument("--progress", type=Path, help="where to go on")
    parser.add_argument("--plain", action="store_true", help="no namespaces")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[],
                        help="these faults: names of scenario.py; LABEL:before, LABEL:after of wire.py for cuts there")
    parser.add_argument("--older", type=program, action="append", default=[],
                        help="nodes begin with this program (tools/build-older makes one) and are exchanged for the new "
                             "one; one of several in each scenario")
    parser.add_argument("--self-test", action="store_true", help="doctored ledgers: is each found?")
    options = parser.parse_args()
    if options.self_test:
        import doctored
        return doctored.main()
    if options.scenario is not None:
        options.scenarios = options.lanes = 1
    with tempfile.TemporaryDirectory(prefix="pawl-cluster-tools-") as tools:
        os.chmod(tools, 0o755)
        build(Path(tools))
        return campaign(options, Path(tools))


if __name__ == "__main__":
    sys.exit(main())
