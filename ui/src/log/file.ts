// A window on a log of any size: a few blocks of lines, read by byte range. Going on at one end lets go at the other,
// so a log of a gigabyte costs what one of a megabyte does. Offsets are bytes; a line is named by where it begins.
import { send } from "../core/api";

export const PIECE = 64 * 1024;
const BLOCKS_MAX = 4;
const STEP_MAX = 2;    // how many of them come at once
const LINES_MAX = 800; // of a block

export interface Line {
  at: number;
  text: string;
}

export interface Block {
  from: number;
  to: number;
  lines: Line[];
  first: number | null; // number of its first line, from 1; null: not known
}

const decoder = new TextDecoder();
const NEWLINE = 10;

export async function readRange(path: string, from: number, length: number, signal?: AbortSignal): Promise<{ bytes: Uint8Array; size: number }> {
  const answer = await send("GET", `${path}&offset=${from}&limit=${Math.max(1, length)}`, undefined, { signal: signal ?? null });
  const bytes = new Uint8Array(await answer.arrayBuffer());
  return { bytes, size: Number(answer.headers.get("X-Log-Size") ?? from + bytes.length) };
}

export function linesOf(bytes: Uint8Array, from: number): Line[] {
  const lines: Line[] = [];
  for (let start = 0; start < bytes.length; ) {
    const found = bytes.indexOf(NEWLINE, start);
    const end = found < 0 ? bytes.length : found;
    lines.push({ at: from + start, text: decoder.decode(bytes.subarray(start, end)) });
    start = end + 1;
  }
  return lines;
}

// Where a cut does not hit a character of several bytes.
function characterEnd(bytes: Uint8Array, end: number): number {
  let at = end;
  while (at > 0 && end - at < 4 && (bytes[at]! & 0xc0) === 0x80) at--;
  return at > 0 ? at : end;
}

// How many of the bytes make whole lines. A line longer than all of them is cut.
function wholeLines(bytes: Uint8Array, isEnd: boolean): number {
  if (isEnd) return bytes.length;
  const last = bytes.lastIndexOf(NEWLINE);
  return last >= 0 ? last + 1 : characterEnd(bytes, bytes.length);
}

export class LogFile {
  size = 0;
  blocks: Block[] = [];
  constructor(readonly path: string) {}

  get from(): number { return this.blocks[0]?.from ?? 0; }
  get to(): number { return this.blocks[this.blocks.length - 1]?.to ?? 0; }
  get atEnd(): boolean { return this.to >= this.size; }

  async openEnd(): Promise<void> {
    this.size = (await readRange(this.path, 0, 1)).size;
    this.blocks = [];
    if (this.size > 0) await this.before(this.size);
  }

  async openAt(at: number): Promise<void> {
    this.blocks = [];
    await this.after(at);
    if (this.from > 0) await this.before(this.from);
  }

  async loadBefore(): Promise<void> {
    if (this.from > 0) await this.before(this.from);
  }

  async loadAfter(): Promise<void> {
    if (!this.atEnd) await this.after(this.to);
  }

  private async after(at: number): Promise<void> {
    const { bytes, size } = await readRange(this.path, at, PIECE);
    this.size = size;
    if (!bytes.length) return;
    const made = blocksOf(bytes.subarray(0, wholeLines(bytes, at + bytes.length >= size)), at);
    this.add(made.slice(0, STEP_MAX)); // what was in view stays in the window
  }

  private add(made: Block[]): void {
    this.blocks = [...this.blocks, ...made];
    this.numberForwards();
    if (this.blocks.length > BLOCKS_MAX) this.blocks = this.blocks.slice(-BLOCKS_MAX);
  }

  private async before(end: number): Promise<void> {
    const from = Math.max(0, end - PIECE);
    const { bytes, size } = await readRange(this.path, from, end - from);
    this.size = Math.max(this.size, size);
    const newline = bytes.indexOf(NEWLINE);
    const skipped = from === 0 || newline < 0 || newline === bytes.length - 1 ? 0 : newline + 1;
    const lines = linesOf(bytes.subarray(skipped), from + skipped).slice(-LINES_MAX);
    if (!lines.length) return;
    this.blocks = [{ from: lines[0]!.at, to: end, lines, first: null }, ...this.blocks].slice(0, BLOCKS_MAX);
    this.numberForwards();
  }

  // Line numbers are known from the log's first byte on, and wherever they were known before.
  private numberForwards(): void {
    let next: number | null = this.from === 0 ? 1 : this.blocks[0]!.first;
    this.blocks = this.blocks.map((block) => {
      const first: number | null = next ?? block.first;
      next = first === null ? null : first + block.lines.length;
      return block.first === first ? block : { ...block, first };
    });
  }

  // What a running attempt wrote since. False when the window is full and someone reads its start.
  grow(bytes: Uint8Array, isReadAtEnd: boolean): boolean {
    if (!isReadAtEnd && this.blocks.length >= BLOCKS_MAX) return false;
    const last = this.blocks[this.blocks.length - 1];
    const at = this.to;
    const open = last && (last.lines.length >= LINES_MAX || at - last.from >= PIECE) ? undefined : last;
    this.size = Math.max(this.size, at + bytes.length);
    if (open) {
      this.blocks = this.blocks.slice(0, -1);
      const whole = joined(open, bytes);
      this.add(whole.lines.length > LINES_MAX ? split(whole) : [whole]);
    } else {
      this.add(blocksOf(bytes, at));
    }
    return true;
  }
}

// A block of too many lines, as several.
function split(block: Block): Block[] {
  const out: Block[] = [];
  for (let i = 0; i < block.lines.length; i += LINES_MAX) {
    const next = block.lines[i + LINES_MAX];
    out.push({ from: block.lines[i]!.at, to: next ? next.at : block.to, lines: block.lines.slice(i, i + LINES_MAX), first: block.first === null ? null : block.first + i });
  }
  return out;
}

function blocksOf(bytes: Uint8Array, at: number): Block[] {
  const lines = linesOf(bytes, at);
  return lines.length ? split({ from: at, to: at + bytes.length, lines, first: null }) : [];
}

// A block and what came behind it; its last line may have been unfinished.
function joined(block: Block, bytes: Uint8Array): Block {
  const lines = [...block.lines];
  const more = linesOf(bytes, block.to);
  const last = lines[lines.length - 1];
  const unfinished = last && last.at + new TextEncoder().encode(last.text).length === block.to;
  if (unfinished && more.length) {
    const continues = bytes[0] !== NEWLINE;
    lines[lines.length - 1] = { at: last.at, text: last.text + (continues ? more[0]!.text : "") };
    more.shift();
  }
  return { ...block, to: block.to + bytes.length, lines: [...lines, ...more] };
}
