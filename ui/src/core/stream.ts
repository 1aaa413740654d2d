// Server-sent events out of a response's body (WHATWG HTML, section 9.2): fetch instead of EventSource, since a new
// reader has to be able to name the last event that another tab has seen.

export interface Message {
  name: string;
  id: string;
  text: string;
}

// Feeds on pieces of text however they are cut; gives whole messages.
export class Messages {
  private rest = "";
  private name = "";
  private id = "";
  private text: string[] = [];

  constructor(private readonly found: (message: Message) => void) {}

  feed(piece: string): void {
    const lines = (this.rest + piece).split("\n");
    this.rest = lines.pop()!;
    for (const line of lines) this.line(line.endsWith("\r") ? line.slice(0, -1) : line);
  }

  private line(line: string): void {
    if (line === "") {
      if (this.text.length) this.found({ name: this.name || "message", id: this.id, text: this.text.join("\n") });
      this.name = "";
      this.text = [];
      return;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "event") this.name = value;
    else if (field === "data") this.text.push(value);
    else if (field === "id") this.id = value;
  }
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
