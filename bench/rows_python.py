"""Python tasks: a fresh interpreter each, and forks of a warm one."""
import harness
from figures import Figure, median, ratios, row, with_spread
from harness import Daemon, Scratch, interleaved

IMPORTS = "import json, re, os, sys, datetime, pathlib, subprocess, logging, argparse, urllib.request"
SYSTEM = {"PATH": "/usr/bin:/bin"}      # Debian's interpreter, not a wrapper that finds one


def tasks(name, count, warm):
    lines = [f"name: {name}", f"defaults: {{warm: {'true' if warm else 'false'}}}", "tasks:"]
    return "\n".join(lines + [f'  - {{id: t{i}, type: python, script: "{IMPORTS}\\n"}}' for i in range(count)]) + "\n"


@row("python")
def python(options):
    few, many = max(8, options.scaled(100)), max(8, options.scaled(800))
    with Scratch() as scratch, Daemon(scratch / "data", env=SYSTEM) as daemon:
        cold = daemon.apply("cold", tasks("cold", few, False))
        warm = daemon.apply("warm", tasks("warm", many, True))
        figures = interleaved(
            options.rounds, warm=lambda: many / daemon.run(warm), cold=lambda: few / daemon.run(cold),
            bare=lambda: harness.floor("floor_spawn", "-p", 2, few, "/usr/bin/python3", "-c", IMPORTS)["rate"])
    share = ratios(figures["warm"], figures["cold"])
    yield Figure("python tasks, ten usual imports, warm, full", with_spread(figures["warm"], "/s"),
                 "fresh interpreters in the bare loop " + with_spread(figures["bare"], "/s", 1),
                 "pawl, fresh ones " + with_spread(figures["cold"], "/s", 1),
                 f"{median(share):.1f} x fresh ({min(share):.1f} to {max(share):.1f})", ">= 8 x", median(share) >= 8, figures)
