// Server-sent events out of a response's body (WHATWG HTML, section 9.2): fetch instead of EventSource, since a new
// reader has to be able to name the last event that another tab has seen. Text is passed on in whole blocks, each of
// which ends with a blank line; what is in them is looked at when its turn comes.

export interface Message {
  name: string;
  id: string;
  text: string;
}

// Takes text however it is cut; gives whole blocks, in as many texts as pieces came: joining them would cost a copy.
export class Blocks {
  private rest = "";
  private whole: string[] = [];

  add(piece: string): void {
    const text = this.rest + piece, end = text.lastIndexOf("\n\n") + 2;
    if (end >= 2) this.whole.push(text.slice(0, end));
    this.rest = end >= 2 ? text.slice(end) : text;
  }

  take(): string[] {
    const whole = this.whole;
    this.whole = [];
    return whole;
  }
}

// The block between two places of a text; null when it holds no data.
export function messageIn(text: string, start: number, end: number): Message | null {
  let name = "message", id = "", data: string | null = null;
  for (let at = start; at < end; ) {
    const found = text.indexOf("\n", at), stop = found < 0 || found > end ? end : found;
    const colon = text.indexOf(":", at);
    if (colon > at && colon < stop) {
      const value = text.slice(text[colon + 1] === " " ? colon + 2 : colon + 1, stop), field = colon - at;
      if (field === 4 && text.startsWith("data", at)) data = data === null ? value : `${data}\n${value}`;
      else if (field === 5 && text.startsWith("event", at)) name = value;
      else if (field === 2 && text.startsWith("id", at)) id = value;
    }
    at = stop + 1;
  }
  return data === null ? null : { name, id, text: data };
}

// The id of the last event in blocks of text; "" when none has one.
export function lastIdIn(text: string): string {
  const at = text.lastIndexOf("\nid: ") + 1;
  return at || text.startsWith("id: ") ? text.slice(at + 4, text.indexOf("\n", at)) : "";
}

export interface Reader {
  opened: () => void;
  heard: (text: string) => void; // as it comes, comments too
}

// Reads until the stream ends or is aborted. Throws when it could not be opened.
export async function readStream(path: string, lastId: string, reader: Reader, signal: AbortSignal): Promise<void> {
  const headers: Record<string, string> = { Accept: "text/event-stream" };
  if (lastId) headers["Last-Event-ID"] = lastId;
  const answer = await fetch(path, { headers, signal, cache: "no-store" });
  if (!answer.ok) throw new Error(String(answer.status));
  reader.opened();
  const decoder = new TextDecoder();
  const body = answer.body!.getReader();
  for (;;) {
    const { value, done } = await body.read();
    if (done) return;
    reader.heard(decoder.decode(value, { stream: true }));
  }
}
