"""Line plots as SVG, for how cost grows: no library, so that `make bench` needs none."""
import math
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 360, 70, 160, 40, 50
COLOURS = ("#1b6ca8", "#c8553d", "#588157", "#8338ec", "#6c757d")


def ticks(low, high, log):
    if log:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        return [10.0 ** n for n in range(first, last + 1)]
    step = 10 ** math.floor(math.log10(high or 1))
    step = step if high / step >= 3 else step / 5 if high / step < 1.5 else step / 2
    return [step * n for n in range(int(math.ceil(high / step)) + 1)]


def short(value):
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


class Axis:
    def __init__(self, values, begin, end, log):
        self.marks = ticks(min(values), max(values), log)
        self.log, self.begin, self.end = log, begin, end
        self.low, self.high = self.marks[0], self.marks[-1]
        if self.low == self.high:
            self.high = self.low * 10 if log else self.low + 1

    def at(self, value):
        scale = (lambda v: math.log10(v)) if self.log else (lambda v: v)
        share = (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))
        return self.begin + share * (self.end - self.begin)


def draw(sweep):
    """sweep: title, x, y (labels), series {name: [(x, y)]}, log_x, log_y"""
    points = [point for line in sweep.series.values() for point in line]
    across = Axis([x for x, _ in points], LEFT, WIDTH - RIGHT, sweep.log_x)
    up = Axis([y for _, y in points], HEIGHT - BOTTOM, TOP, sweep.log_y)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
           f'<text x="{LEFT}" y="22" font-size="14" font-weight="bold">{escape(sweep.title)}</text>']
    for mark in across.marks:
        x = across.at(mark)
        out.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}" stroke="#e5e5e5"/>'
                   f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{short(mark)}</text>')
    for mark in up.marks:
        y = up.at(mark)
        out.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#e5e5e5"/>'
                   f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{short(mark)}</text>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">{escape(sweep.x)}</text>'
               f'<text transform="translate(16 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">'
               f'{escape(sweep.y)}</text>')
    for index, (name, line) in enumerate(sweep.series.items()):
        colour = COLOURS[index % len(COLOURS)]
        path = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in line)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{across.at(x):.1f}" cy="{up.at(y):.1f}" r="3" fill="{colour}"/>' for x, y in line]
        y = TOP + 14 + 18 * index
        out.append(f'<line x1="{WIDTH - RIGHT + 12}" y1="{y - 4}" x2="{WIDTH - RIGHT + 32}" y2="{y - 4}" stroke="{colour}" '
                   f'stroke-width="2"/><text x="{WIDTH - RIGHT + 38}" y="{y}">{escape(name)}</text>')
    return "\n".join(out) + "\n</svg>\n"


def write(sweeps, folder):
    Path(folder).mkdir(parents=True, exist_ok=True)
    for sweep in sweeps:
        (Path(folder) / f"{sweep.name}.svg").write_text(draw(sweep))
