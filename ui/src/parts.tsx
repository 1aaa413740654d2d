// Pieces that every page uses.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { ago, at } from "./format";

// A state is told by shape and letter and word; colour only repeats it.
const marks: Record<string, [string, string]> = {
  pending: ["○", "P"], queued: ["◔", "Q"], running: ["◑", "R"], succeeded: ["●", "S"], failed: ["✕", "F"],
  skipped: ["⊘", "K"], canceled: ["■", "C"], idle: ["○", "I"], draining: ["◒", "D"], stopped: ["■", "T"],
  retried: ["↻", "R"], resolved: ["●", "O"],
};

export function State({ state, brief }: { state: string; brief?: boolean }) {
  const mark = marks[state] ?? ["?", "?"];
  return (
    <span class={`state s-${state}`} title={state}>
      <span aria-hidden="true">{mark[0]}</span> {brief ? <span class="sr">{state}</span> : state}
    </span>
  );
}

export function Time({ time }: { time: string | null }) {
  return time ? <time dateTime={time} title={at(time)}>{ago(time)}</time> : <span class="none">–</span>;
}

export function Id({ id, href }: { id: string; href?: string }) {
  const text = <code title={id}>{id.slice(-8)}</code>;
  return href ? <a href={href}>{text}</a> : text;
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

export const notice = signal<{ text: string; bad: boolean } | null>(null);

export async function attempt(what: string, action: () => Promise<unknown>): Promise<boolean> {
  try {
    await action();
    notice.value = { text: what, bad: false };
    return true;
  } catch (problem) {
    notice.value = { text: (problem as Error).message, bad: true };
    return false;
  }
}

export function Notice() {
  const shown = notice.value;
  useEffect(() => {
    if (!shown || shown.bad) return;
    const timer = setTimeout(() => (notice.value = null), 4000);
    return () => clearTimeout(timer);
  }, [shown]);
  return (
    <div role="status" aria-live="polite">
      {shown && (
        <div class={`notice ${shown.bad ? "bad" : ""}`}>
          {shown.text} <button onClick={() => (notice.value = null)} aria-label="Dismiss">×</button>
        </div>
      )}
    </div>
  );
}

// The same by other means: what the page shows, as a command to copy.
export function Commands({ cli, curl }: { cli: string; curl: string }) {
  return (
    <details class="commands">
      <summary>Commands</summary>
      <Copy text={cli} />
      <Copy text={`curl -s '${new URL(curl, document.baseURI).href}'`} />
    </details>
  );
}

function Copy({ text }: { text: string }) {
  return (
    <p>
      <code>{text}</code>{" "}
      <button onClick={() => void navigator.clipboard?.writeText(text)}>Copy</button>
    </p>
  );
}

// Loads when `key` changes; tells of errors; can be asked to load again.
export function useLoad<T>(key: string, load: (abort: AbortSignal) => Promise<T>): { value?: T; error?: Error; again: () => void } {
  const [state, setState] = useState<{ value?: T; error?: Error; key?: string }>({});
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    load(abort.signal).then(
      (value) => !abort.signal.aborted && setState({ value, key }),
      (error) => !abort.signal.aborted && setState({ error, key }),
    );
    return () => abort.abort();
  }, [key, turn]);
  return state.key === key ? { ...state, again: () => setTurn((n) => n + 1) } : { again: () => setTurn((n) => n + 1) };
}

export function Problem({ error }: { error?: Error | undefined }) {
  return error ? <p class="problem" role="alert">{error.message}</p> : null;
}

// A destructive act names what it hits, and asks in place instead of by a dialog.
export function Confirm({ label, question, act }: { label: string; question: string; act: () => void }) {
  const [asking, setAsking] = useState(false);
  if (!asking) return <button onClick={() => setAsking(true)}>{label}</button>;
  return (
    <span class="confirm" role="group" aria-label={question}>
      {question}{" "}
      <button class="danger" autofocus onClick={() => { setAsking(false); act(); }}>Yes, {label.toLowerCase()}</button>{" "}
      <button onClick={() => setAsking(false)}>No</button>
    </span>
  );
}

// Rows of one height, of which only those in view are there: a list may have any length.
export function Rows<T>({ items, height, row, max = 560 }: {
  items: T[]; height: number; row: (item: T, index: number) => ComponentChildren; max?: number;
}) {
  const [top, setTop] = useState(0);
  const shown = Math.ceil(max / height) + 8;
  const first = Math.max(0, Math.min(Math.floor(top / height) - 4, items.length - shown));
  return (
    <div class="rows" style={{ maxHeight: `${max}px` }} onScroll={(e) => setTop((e.target as HTMLElement).scrollTop)} tabIndex={0}>
      <div style={{ height: `${items.length * height}px`, position: "relative" }}>
        <div style={{ position: "absolute", insetInline: 0, top: `${first * height}px` }}>
          {items.slice(first, first + shown).map((item, i) => row(item, first + i))}
        </div>
      </div>
    </div>
  );
}
