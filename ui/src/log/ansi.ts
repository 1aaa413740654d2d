// What a task wrote, as text with styles. Of the ANSI sequences colours and weights are understood (ECMA-48, SGR), all
// others are dropped; what a carriage return wrote over is gone, as on a terminal.

export interface Piece {
  text: string;
  classes: string;
  colour?: string | undefined;     // of the 256 and the 16 million
  background?: string | undefined;
}

interface Style {
  on: Set<string>; // b dim i u and one of f0-f15, k0-k15
  colour?: string | undefined;
  background?: string | undefined;
}

// CSI, OSC, two-byte escapes, and control characters other than tab.
// eslint-disable-next-line no-control-regex
const sequence = /\x1b\[([0-9;:]*)([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[^[\]]?|[\x00-\x08\x0b-\x1f\x7f]/g;

const flags: Record<number, string> = { 1: "b", 2: "dim", 3: "i", 4: "u" };

export function lastWritten(line: string): string {
  const end = line.endsWith("\r") ? line.length - 1 : line.length;
  return line.slice(line.lastIndexOf("\r", end - 1) + 1, end);
}

export function pieces(line: string): Piece[] {
  const text = lastWritten(line);
  if (!/[\x00-\x08\x0b-\x1f\x7f]/.test(text)) return text ? [{ text, classes: "" }] : [];
  const out: Piece[] = [];
  let style: Style = { on: new Set() };
  let rest = 0;
  const put = (end: number) => {
    if (end > rest) out.push({ text: text.slice(rest, end), classes: [...style.on].join(" "), colour: style.colour, background: style.background });
  };
  for (const found of text.matchAll(sequence)) {
    put(found.index);
    rest = found.index + found[0].length;
    if (found[2] === "m") style = applied(style, (found[1] || "0").split(/[;:]/).map(Number));
  }
  put(text.length);
  return out;
}

function applied(before: Style, codes: number[]): Style {
  const style: Style = { ...before, on: new Set(before.on) };
  const drop = (letter: string) => { for (const name of [...style.on]) if (name[0] === letter && name.length > 1 && name !== "dim") style.on.delete(name); };
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i]!;
    if (code === 0) { style.on.clear(); style.colour = style.background = undefined; }
    else if (flags[code]) style.on.add(flags[code]);
    else if (code === 22) { style.on.delete("b"); style.on.delete("dim"); }
    else if (code === 23) style.on.delete("i");
    else if (code === 24) style.on.delete("u");
    else if (code === 38 || code === 48) i += extended(style, code === 38 ? "colour" : "background", codes.slice(i + 1));
    else if (code === 39) { drop("f"); style.colour = undefined; }
    else if (code === 49) { drop("k"); style.background = undefined; }
    else {
      const [letter, n] = basic(code);
      if (letter) { drop(letter); style.on.add(`${letter}${n}`); }
    }
  }
  return style;
}

// 30-37, 90-97: the letters' colour; 40-47, 100-107: what is behind them.
function basic(code: number): [string, number] {
  if (code >= 30 && code <= 37) return ["f", code - 30];
  if (code >= 90 && code <= 97) return ["f", code - 82];
  if (code >= 40 && code <= 47) return ["k", code - 40];
  if (code >= 100 && code <= 107) return ["k", code - 92];
  return ["", 0];
}

// `5;n` and `2;r;g;b`. Returns how many numbers that took.
function extended(style: Style, which: "colour" | "background", codes: number[]): number {
  const byte = (n: number | undefined) => Math.max(0, Math.min(255, n ?? 0));
  if (codes[0] === 2) {
    style[which] = `rgb(${byte(codes[1])} ${byte(codes[2])} ${byte(codes[3])})`;
    return 4;
  }
  if (codes[0] !== 5) return 0;
  const n = byte(codes[1]);
  if (n < 16) style.on.add(`${which === "colour" ? "f" : "k"}${n}`);
  else if (n < 232) style[which] = `rgb(${[36, 6, 1].map((size) => cube(Math.floor((n - 16) / size) % 6)).join(" ")})`;
  else style[which] = `rgb(${Array(3).fill(8 + 10 * (n - 232)).join(" ")})`;
  return 2;
}

function cube(level: number): number {
  return level ? 55 + 40 * level : 0;
}
