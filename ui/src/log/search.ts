// Looking for text in a whole log, a piece at a time: memory does not grow with the log. Upper and lower case are one.
import { readRange } from "./file";

const STEP = 1024 * 1024;
// One character a byte, so that places in the text are places in the log.
const bytewise = new TextDecoder("latin1");

function plain(bytes: Uint8Array): string {
  return bytewise.decode(bytes).toLowerCase();
}

export interface Search {
  path: string;
  text: string;
  size: number;
  signal: AbortSignal;
  progress: (at: number) => void;
}

// Where the next line with the text begins, from `from` on; null when there is none.
export async function searchDown(search: Search, from: number): Promise<number | null> {
  const needle = plain(new TextEncoder().encode(search.text));
  let line = from; // where the line that the piece begins in begins
  for (let at = from; at < search.size; ) {
    const { bytes } = await readRange(search.path, at, STEP, search.signal);
    if (!bytes.length) return null;
    const text = plain(bytes);
    const found = text.indexOf(needle);
    const before = found < 0 ? text.length : found;
    const newline = before > 0 ? text.lastIndexOf("\n", before - 1) : -1;
    if (newline >= 0) line = at + newline + 1;
    if (found >= 0) return line;
    if (at + bytes.length >= search.size) return null;
    at += Math.max(1, bytes.length - needle.length + 1);
    search.progress(at);
  }
  return null;
}

// Where the last line with the text that begins before `end` begins.
export async function searchUp(search: Search, end: number): Promise<number | null> {
  const needle = plain(new TextEncoder().encode(search.text));
  for (let to = end; to > 0; ) {
    const from = Math.max(0, to - STEP);
    const { bytes } = await readRange(search.path, from, to - from, search.signal);
    const text = plain(bytes);
    const found = text.lastIndexOf(needle);
    if (found >= 0) {
      const newline = found > 0 ? text.lastIndexOf("\n", found - 1) : -1;
      return from + newline + 1;
    }
    if (from === 0) return null;
    to = from + needle.length - 1;
    search.progress(from);
  }
  return null;
}
