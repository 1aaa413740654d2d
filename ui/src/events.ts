// One event stream per browser: the tab that holds a lock reads it and tells the others. A hidden tab alone is quiet:
// it closes the stream and reads anew when it is looked at.
import { signal } from "@preact/signals";

export interface Event {
  name: string;
  data: any;
}

export const live = signal<"live" | "stale">("stale");

type Listener = (event: Event) => void;
const listeners = new Set<Listener>();
const channel = "BroadcastChannel" in self ? new BroadcastChannel("pawl-events") : null;

export function listen(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function hear(event: Event): void {
  if (event.name === "state") live.value = event.data;
  else for (const listener of listeners) listener(event);
}

function tell(event: Event): void {
  hear(event);
  channel?.postMessage(event);
}

function read(): Promise<void> {
  return new Promise(() => {
    const source = new EventSource("api/v1/events");
    source.onopen = () => {
      tell({ name: "state", data: "live" });
      tell({ name: "reset", data: {} });
    };
    source.onerror = () => tell({ name: "state", data: "stale" });
    for (const name of ["run", "task", "worker", "reset"]) {
      source.addEventListener(name, (message) => tell({ name, data: JSON.parse(message.data) }));
    }
  });
}

export function start(): void {
  if (channel) channel.onmessage = (message) => hear(message.data);
  if (navigator.locks && channel) void navigator.locks.request("pawl-events", read);
  else void read();
}
