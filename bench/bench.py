#!/usr/bin/env python3
"""make bench: every budget of the contract that this machine can show, as one table.

    bench/bench.py [--rounds N] [--scale X] [--rows flat,chain,...] [--seconds N] [--json FILE] [--markdown FILE]
                   [--plots FOLDER]

Every ratio is of figures taken in turn within one run; a figure is the median of the rounds, with the least and the
most beside it. --scale 0.1 takes a tenth of the tasks, for a look. --seconds N starts no other row after that. With
--json FILE that is there already, its rows are kept and those measured now take their place: a table can be taken in
pieces. --from FILE measures nothing and makes table, page and plots of it."""
import argparse
import json
import platform
import sys
import time
from pathlib import Path

import plots
import rows
import rows_http
import rows_pg
import rows_python
import rows_size
import rows_ui
import rows_workflows
from figures import ROWS, Figure, Sweep

assert rows and rows_http and rows_pg and rows_python and rows_size and rows_ui and rows_workflows  # each adds its own


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--seconds", type=float, help="start no other row after so long")
    parser.add_argument("--workflows", help="v1,v5: these only")
    parser.add_argument("--scaled-rounds", type=int, default=1, help="rounds of workflows that take 20 s each")
    parser.add_argument("--no-relaxed", dest="relaxed", action="store_false", help="scaled workflows: durable ones only")
    parser.add_argument("--idle-seconds", type=float, default=10)
    parser.add_argument("--no-rivals", dest="rivals", action="store_false")
    parser.add_argument("--json")
    parser.add_argument("--markdown")
    parser.add_argument("--plots")
    parser.add_argument("--docs", help="a page whose table, between <!-- table --> and <!-- end -->, is replaced")
    parser.add_argument("--from", dest="source", metavar="FILE")
    options = parser.parse_args()
    options.scaled = lambda count: max(1, int(count * options.scale))
    unknown = [name for name in options.rows.split(",") if name not in ROWS]
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)} (there are: {', '.join(ROWS)})")
    return options


def verdict(figure):
    return "" if figure.met is None else "met" if figure.met else "NOT MET"


def markdown(figures):
    lines = ["| what | pawl | floor | rival | ratio | budget | verdict |", "|---|---|---|---|---|---|---|"]
    lines += [f"| {f.what} | {f.pawl} | {f.floor} | {f.rival} | {f.ratio} | {f.budget} | {verdict(f)} |" for f in figures]
    return "\n".join(lines) + "\n"


def page_table(rows_):
    """The same with the day of each row: a page's table is taken in pieces."""
    lines = ["| what | pawl | floor | rival | ratio | budget | verdict | taken, UTC |", "|---|---|---|---|---|---|---|---|"]
    for row in rows_:
        for line in markdown([Figure(**one) for one in row["figures"]]).splitlines()[2:]:
            lines.append(f"{line} {row['taken'][5:]} |")
    return "\n".join(lines) + "\n"


def say(figure):
    print(f"{figure.what}: {figure.pawl}"
          + "".join(f"; {label} {value}" for label, value in
                    (("floor", figure.floor), ("rival", figure.rival), ("ratio", figure.ratio), ("budget", figure.budget))
                    if value)
          + (f"; {verdict(figure)}" if verdict(figure) else ""), flush=True)


class Results:
    """What is known of each row, in the order of the rows: figures and sweeps, and how they were taken."""

    def __init__(self, path):
        self.known = json.loads(Path(path).read_text())["rows"] if path and Path(path).exists() else {}

    def put(self, key, options, found):
        self.known[key] = {
            "taken": time.strftime("%Y-%m-%d %H:%M", time.gmtime()), "rounds": options.rounds, "scale": options.scale,
            "figures": [vars(one) for one in found if isinstance(one, Figure)],
            "sweeps": [vars(one) for one in found if isinstance(one, Sweep)]}

    def ordered(self):
        order = list(ROWS)
        return [self.known[key] for key in sorted(self.known, key=lambda key: (order.index(key.partition(" ")[0]), key))]

    def figures(self):
        return [Figure(**one) for row in self.ordered() for one in row["figures"]]

    def sweeps(self):
        return [Sweep(**one) for row in self.ordered() for one in row["sweeps"]]

    def taken(self):
        """When and how, for the page."""
        rows_ = self.ordered()
        when = sorted(row["taken"] for row in rows_)
        how = sorted({f"--rounds {row['rounds']} --scale {row['scale']:g}" for row in rows_})
        return f"Taken {when[0]} to {when[-1]} UTC, with {', '.join(how)}." if rows_ else ""

    def write(self, options):
        if options.json:
            Path(options.json).write_text(json.dumps({"machine": platform.uname()._asdict(), "rows": self.known}, indent=1))
        if options.markdown:
            Path(options.markdown).write_text(markdown(self.figures()))
        if options.docs:
            page = Path(options.docs)
            head, rest = page.read_text().split("<!-- table -->\n", 1)
            page.write_text(f"{head}<!-- table -->\n{self.taken()}\n\n{page_table(self.ordered())}<!-- end -->"
                            + rest.split("<!-- end -->", 1)[1])
        if options.plots and self.sweeps():
            plots.write(self.sweeps(), options.plots)


def main():
    options = parse()
    results = Results(options.source or options.json)
    began = time.monotonic()
    for name in [] if options.source else options.rows.split(","):
        if options.seconds and time.monotonic() - began > options.seconds:
            print(f"  ({name}: not taken, the time is up)", file=sys.stderr)
            continue
        row_began, found = time.monotonic(), []
        for one in ROWS[name](options):
            found.append(one)
            if isinstance(one, Figure):
                say(one)
        results.put(f"{name} {options.workflows}" if options.workflows else name, options, found)
        results.write(options)
        print(f"  ({name}: {time.monotonic() - row_began:.0f} s)", file=sys.stderr, flush=True)
    results.write(options)
    print("\n" + markdown(results.figures()), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
