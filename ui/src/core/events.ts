// What changes, from one event stream per browser: of the tabs that can be seen, the one that holds a lock reads it and
// tells the others. A hidden tab gives the lock away, so with all tabs hidden there is no connection. The next reader
// goes on behind the last event that any tab has heard; the server says `reset` when that is too long ago.
//
// Without Web Locks (a plain http address that is not loopback) each visible tab reads for itself.
import { signal } from "@preact/signals";
import { Hearing } from "./hearing";
import { Blocks, type Message, lastIdIn, readStream } from "./stream";

export interface Event {
  name: "run" | "task" | "worker" | "reset";
  data: any;
}

export const live = signal<boolean | null>(null); // null: nobody has said yet
export const staleSince = signal<number>(Date.now());

const SILENCE_MS = 40_000; // the server says something every 15 s
const RETRY_MS = [500, 1000, 2000, 5000];
const GATHER_MS = 40;
const COMPANY_MS = 1000;
const SLICE_MS = 4;

type Listener = (event: Event) => void;
// What it wants: `run`, `worker`, and tasks of one run.
interface Subscriber {
  listener: Listener;
  tasksOf: string | undefined;
}

const subscribers = new Set<Subscriber>();
const shared = "locks" in navigator && "BroadcastChannel" in self;
const place = new URL("./", document.baseURI).pathname;
const channel = shared ? new BroadcastChannel(`pawl-events:${place}`) : null;
let lastId = ""; // of the last event that this tab has heard
let timer: ReturnType<typeof setTimeout> | undefined;
let connected = false; // this tab reads the stream and it is open
let blocks = new Blocks();
let company = true; // other tabs may be there to be told
let answered = true; // by one of them, since it was asked for

export function listen(listener: Listener, tasksOf?: string): () => void {
  const subscriber = { listener, tasksOf };
  subscribers.add(subscriber);
  return () => subscribers.delete(subscriber);
}

function setLive(now: boolean): void {
  if (live.peek() !== false && !now) staleSince.value = Date.now();
  live.value = now;
}

function tellListeners(event: Event): void {
  for (const { listener, tasksOf } of [...subscribers]) {
    if (event.name !== "task" || event.data.runId === tasksOf) listener(event);
  }
}

// Tasks of runs that nobody here looks at are not even parsed.
function isWanted(message: Message): boolean {
  if (message.name !== "task") return true;
  for (const { tasksOf } of subscribers) if (tasksOf && message.text.includes(tasksOf)) return true;
  return false;
}

const hearing = new Hearing(isWanted, (message) => tellListeners({ name: message.name as Event["name"], data: JSON.parse(message.text || "{}") }));
let works = false;

function work(): void {
  let isDone = false;
  try {
    isDone = hearing.work(SLICE_MS);
  } finally {
    works = !isDone;
    if (works) setTimeout(work);
  }
}

function hear(texts: string[]): void {
  for (const text of texts) {
    lastId = lastIdIn(text) || lastId;
    hearing.add(text);
  }
  if (!works) work();
}

// `hello` asks the reader whether it is live, `who` asks everybody. A tab that was not told because it could not answer
// knows it by `lastId` when it says hello again.
type Told = { kind: "heard"; texts: string[] } | { kind: "live"; live: boolean; lastId: string } | { kind: "hello" | "who" | "here" };

function tell(told: Told): void {
  channel?.postMessage(told);
}

function flush(): void {
  timer = undefined;
  const texts = blocks.take();
  if (!texts.length) return;
  if (company) tell({ kind: "heard", texts });
  hear(texts);
}

function gather(text: string): void {
  blocks.add(text);
  timer ??= setTimeout(flush, GATHER_MS);
}

function announce(now: boolean): void {
  connected = now;
  setLive(now);
  tell({ kind: "live", live: now, lastId });
}

// Whoever is alone needs not tell.
function askForCompany(): void {
  company = answered;
  answered = false;
  tell({ kind: "who" });
}

// One connection, from opening to its end. A stream that says nothing for too long is as good as ended.
async function connect(signal: AbortSignal): Promise<void> {
  const own = new AbortController();
  const stop = () => own.abort();
  signal.addEventListener("abort", stop);
  let silence = setTimeout(stop, SILENCE_MS);
  const asking = setInterval(askForCompany, COMPANY_MS);
  try {
    await readStream("api/v1/events", lastId, {
      opened: () => {
        announce(true);
        // Without an id nothing can be resumed: what happened before is to be read anew.
        if (!lastId) gather("event: reset\ndata: {}\n\n");
      },
      heard: (text) => {
        clearTimeout(silence);
        silence = setTimeout(stop, SILENCE_MS);
        gather(text);
      },
    }, own.signal);
  } finally {
    clearTimeout(silence);
    clearInterval(asking);
    flush();
    blocks = new Blocks();
    signal.removeEventListener("abort", stop);
    announce(false);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); });
  });
}

// Set where nobody is signed in: the server would only refuse.
export const refused = signal(false);

async function follow(signal: AbortSignal): Promise<void> {
  for (let failures = 0; !signal.aborted; ) {
    const before = Date.now();
    try {
      await connect(signal);
    } catch {
      // told by the mark; the loop tries again
    }
    if (signal.aborted || refused.peek()) return;
    failures = Date.now() - before > 5000 ? 0 : failures + 1;
    await pause(RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]!, signal);
  }
}

let turn: AbortController | null = null;

function takeTurn(): void {
  if (document.hidden || refused.peek()) {
    turn?.abort();
    turn = null;
    return;
  }
  if (turn) return;
  turn = new AbortController();
  const { signal } = turn;
  if (shared) void navigator.locks.request(`pawl-events:${place}`, { signal }, () => follow(signal)).catch(() => undefined);
  else void follow(signal);
  tell({ kind: "hello" });
}

function sayLive(): void {
  flush();
  tell({ kind: "live", live: true, lastId });
}

function hearLive(now: boolean, id: string): void {
  if (now && lastId && id !== lastId) hear(["event: reset\ndata: {}\n\n"]);
  setLive(now);
}

export function start(): void {
  if (channel) {
    channel.onmessage = ({ data }: MessageEvent<Told>) => {
      const isBack = !company;
      company = answered = true;
      if (connected && (isBack || data.kind === "hello")) sayLive();
      if (data.kind === "heard") hear(data.texts);
      else if (data.kind === "who") tell({ kind: "here" });
      else if (data.kind === "live") hearLive(data.live, data.lastId);
    };
  }
  document.addEventListener("visibilitychange", takeTurn);
  takeTurn();
}

// After sign-in: a stream that was refused is tried again at once.
export function restart(): void {
  turn?.abort();
  turn = null;
  takeTurn();
}
