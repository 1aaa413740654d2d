// What a stream said and nobody was told yet. It is taken in slices of a few milliseconds, so that no frame is late
// because thousands of tasks changed at once. Of a task that is told again before its turn only the last counts, so
// what waits is never more than there are tasks.
import { type Message, Messages } from "./stream";

const PIECE = 8 * 1024;

export class Hearing {
  private texts: string[] = [];
  private at = 0; // in the first of them
  private readonly waiting = new Map<string, Message>();
  private others = 0;
  private readonly messages: Messages;

  constructor(isWanted: (message: Message) => boolean, private readonly tell: (message: Message) => void) {
    this.messages = new Messages((message) => {
      if (!isWanted(message)) return;
      const key = message.name === "task" ? taskOf(message.text) : `${++this.others}`;
      this.waiting.delete(key); // its place is where it was told last
      this.waiting.set(key, message);
    });
  }

  add(text: string): void {
    this.texts.push(text);
  }

  // True when nothing is left.
  work(ms: number): boolean {
    const start = performance.now();
    while (this.texts.length && performance.now() < start + ms / 2) this.feed();
    for (const [key, message] of this.waiting) {
      this.waiting.delete(key);
      this.tell(message);
      if (performance.now() >= start + ms) break;
    }
    while (this.texts.length && performance.now() < start + ms) this.feed();
    return this.texts.length === 0 && this.waiting.size === 0;
  }

  private feed(): void {
    const text = this.texts[0]!;
    this.messages.feed(text.slice(this.at, this.at + PIECE));
    this.at += PIECE;
    if (this.at < text.length) return;
    this.texts.shift();
    this.at = 0;
  }
}

// The same for the same task, as long as the same server wrote it.
function taskOf(text: string): string {
  return `${/"runId":"[^"]*"/.exec(text)?.[0]}${/"taskId":"(?:[^"\\]|\\.)*"/.exec(text)?.[0]}`;
}
