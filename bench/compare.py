#!/usr/bin/env python3
"""One program against another: runs of /bin/true by each in turn, in one go.

    bench/compare.py OLD NEW... [--graph flat|chains|chain|layers] [--tasks N] [--rounds N]

Of each: its rate, and of its own processes (daemon and workers, not what they start) processor time and voluntary
switches a task, which are steadier than rates. Of each but the first: the ratio of its rate to the first's, round by
round. The order within a round alternates; the first round does not count. PAWL_BENCH_BUILD: where the scratch is."""
import argparse
import contextlib
from pathlib import Path

import harness
from figures import median, ratios, with_spread
from harness import Daemon, Scratch

GRAPHS = {"flat": harness.flat, "chains": lambda count: harness.chains(count, 8),
          "chain": lambda count: harness.chains(count, 1), "layers": lambda count: harness.layers(count, 8)}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("programs", nargs="+", type=Path)
    parser.add_argument("--graph", choices=GRAPHS, default="flat")
    parser.add_argument("--tasks", type=int, default=2500)
    parser.add_argument("--rounds", type=int, default=13)
    return parser.parse_args()


def spent(daemon):
    """Microseconds of processor time and voluntary switches, of the daemon and of its workers together."""
    sums = {"daemon": [0, 0], "workers": [0, 0]}
    for pid in daemon.processes():
        of = sums["daemon" if pid == daemon.process.pid else "workers"]
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        of[0] += (int(fields[11]) + int(fields[12])) * 10000    # ticks of 10 ms
        for task in Path(f"/proc/{pid}/task").iterdir():
            of[1] += int((task / "status").read_text().split("voluntary_ctxt_switches:", 1)[1].split()[0])
    return sums


def one_run(daemon, dag, count):
    before = spent(daemon)
    rate = count / daemon.run(dag)
    after = spent(daemon)
    return {"rate": rate, **{f"{who} {what}": (after[who][i] - before[who][i]) / count
                             for who in before for i, what in enumerate(("us", "switches"))}}


def main():
    options = parse()
    tasks = GRAPHS[options.graph](options.tasks)
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(Scratch())
        sides = []
        for place, program in enumerate(options.programs):
            harness.PAWL = program.resolve()
            daemon = stack.enter_context(Daemon(scratch / f"data{place}"))
            sides.append((daemon, daemon.apply("graph", harness.yaml_of("graph", tasks)), []))
        for number in range(options.rounds + 1):
            for daemon, dag, figures in sides[::-1] if number % 2 else sides:
                figure = one_run(daemon, dag, len(tasks))
                if number:
                    figures.append(figure)
    first = [figure["rate"] for figure in sides[0][2]]
    print(f"{options.graph}, {len(tasks):,} tasks, {options.rounds} rounds")
    for program, (_, _, figures) in zip(options.programs, sides):
        rates = [figure["rate"] for figure in figures]
        share = ratios(rates, first)
        print(f"{program}: {with_spread(rates, '/s')}"
              + "".join(f"; {name} {median([figure[name] for figure in figures]):.2f}"
                        for name in figures[0] if name != "rate")
              + f"; of the first {median(share):.3f} ({min(share):.2f} to {max(share):.2f})")


main()
