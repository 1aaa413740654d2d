// What a stream said and nobody was told yet. It is taken in slices of a few milliseconds, so that no frame is late
// because thousands of tasks changed at once. Of a task that is told again before its turn only the last counts, so
// what waits is never more than there are tasks.
import { type Message, messageIn } from "./stream";

const LOOKED_AT_ONCE = 16; // messages between two looks at the clock

export class Hearing {
  private texts: string[] = [];
  private at = 0; // in the first of them
  private readonly waiting = new Map<string, Message>();
  private others = 0;

  constructor(private readonly isWanted: (message: Message) => boolean, private readonly tell: (message: Message) => void) {}

  // Whole blocks.
  add(text: string): void {
    this.texts.push(text);
  }

  // True when nothing is left.
  work(ms: number): boolean {
    const start = performance.now();
    while (this.texts.length && performance.now() < start + ms / 2) this.look();
    for (const [key, message] of this.waiting) {
      this.waiting.delete(key);
      this.tell(message);
      if (performance.now() >= start + ms) break;
    }
    while (this.texts.length && performance.now() < start + ms) this.look();
    return this.texts.length === 0 && this.waiting.size === 0;
  }

  private look(): void {
    const text = this.texts[0]!;
    for (let n = 0; n < LOOKED_AT_ONCE; n++) {
      const end = text.indexOf("\n\n", this.at);
      if (end < 0) {
        this.texts.shift();
        this.at = 0;
        return;
      }
      this.take(messageIn(text, this.at, end));
      this.at = end + 2;
    }
  }

  private take(message: Message | null): void {
    if (!message || !this.isWanted(message)) return;
    const key = message.name === "task" ? taskOf(message.text) : `${++this.others}`;
    this.waiting.delete(key); // its place is where it was told last
    this.waiting.set(key, message);
  }
}

// The same for the same task, as long as the same server wrote it.
function taskOf(text: string): string {
  return member(text, '"runId":"') + member(text, '"taskId":"');
}

function member(text: string, name: string): string {
  const start = text.indexOf(name) + name.length;
  let end = text.indexOf('"', start);
  if (text[end - 1] === "\\") end = start + /^(?:[^"\\]|\\.)*/.exec(text.slice(start))![0].length;
  return text.slice(start, end + 1);
}
