#!/usr/bin/env python3
"""make bench: every budget of the contract that this machine can show, as one table.

    bench/bench.py [--rounds N] [--scale X] [--rows flat,chain,...] [--json FILE] [--markdown FILE]

Every ratio is of figures taken in turn within one run; a figure is the median of the rounds, with the least and the
most beside it. --scale 0.1 takes a tenth of the tasks, for a look."""
import argparse
import json
import platform
import sys
import time

import rows


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rows", default=",".join(rows.ROWS))
    parser.add_argument("--idle-seconds", type=float, default=10)
    parser.add_argument("--no-rivals", dest="rivals", action="store_false")
    parser.add_argument("--json")
    parser.add_argument("--markdown")
    options = parser.parse_args()
    options.scaled = lambda count: max(1, int(count * options.scale))
    unknown = [name for name in options.rows.split(",") if name not in rows.ROWS]
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)} (there are: {', '.join(rows.ROWS)})")
    return options


def verdict(figure):
    return "" if figure.met is None else "met" if figure.met else "NOT MET"


def markdown(figures):
    lines = ["| what | pawl | floor | rival | ratio | budget | verdict |", "|---|---|---|---|---|---|---|"]
    lines += [f"| {f.what} | {f.pawl} | {f.floor} | {f.rival} | {f.ratio} | {f.budget} | {verdict(f)} |" for f in figures]
    return "\n".join(lines) + "\n"


def main():
    options = parse()
    figures = []
    for name in options.rows.split(","):
        began = time.monotonic()
        for figure in rows.ROWS[name](options):
            figures.append(figure)
            print(f"{figure.what}: {figure.pawl}"
                  + "".join(f"; {label} {value}" for label, value in
                            (("floor", figure.floor), ("rival", figure.rival), ("ratio", figure.ratio),
                             ("budget", figure.budget)) if value)
                  + (f"; {verdict(figure)}" if verdict(figure) else ""), flush=True)
        print(f"  ({name}: {time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)
    print()
    print(markdown(figures), end="")
    if options.markdown:
        with open(options.markdown, "w") as out:
            out.write(markdown(figures))
    if options.json:
        with open(options.json, "w") as out:
            json.dump({"machine": platform.uname()._asdict(), "rounds": options.rounds, "scale": options.scale,
                       "figures": [{**vars(f), "met": f.met} for f in figures]}, out, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
