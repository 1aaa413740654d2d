"""What a row of the bench yields: figures for the table, sweeps for the plots."""
import statistics
from dataclasses import dataclass, field

ROWS = {}


@dataclass
class Figure:
    what: str
    pawl: str
    floor: str = ""
    rival: str = ""
    ratio: str = ""
    budget: str = ""
    met: bool = None            # None: no budget
    raw: dict = field(default_factory=dict)


@dataclass
class Sweep:
    name: str                   # of the file
    title: str
    x: str
    y: str
    series: dict                # name -> [(x, y)]
    log_x: bool = True
    log_y: bool = False


def row(name):
    def add(function):
        ROWS[name] = function
        return function
    return add


def spread(values):
    """median, least, most"""
    return statistics.median(values), min(values), max(values)


def with_spread(values, unit="", digits=0):
    median_, low, high = spread(values)
    return f"{median_:,.{digits}f}{unit} ({low:,.{digits}f} to {high:,.{digits}f})"


def ratios(a, b):
    """The ratio of each round: what two figures taken side by side say of each other."""
    return [x / y for x, y in zip(a, b)]


def median(values):
    return statistics.median(values)


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
