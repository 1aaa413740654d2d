// The keyboard. Views register what they can do; the keys are the same everywhere.
import { signal } from "@preact/signals";
import { toggleAbsolute } from "./format";
import { go, link } from "./route";

export const help = signal(false);

export const places = [
  ["runs", "Runs", "r"],
  ["dags", "DAGs", "d"],
  ["letters", "Dead letters", "l"],
  ["schedule", "Schedule", "s"],
  ["workers", "Workers", "w"],
  ["system", "System", "y"],
] as const;

// The list that j, k and Enter are for: the one that was mounted last.
export interface Cursor {
  move: (by: number) => void;
  open: () => void;
  choose?: () => void;
}

const cursors: Cursor[] = [];

export function addCursor(cursor: Cursor): () => void {
  cursors.push(cursor);
  return () => void cursors.splice(cursors.indexOf(cursor), 1);
}

// Keys of one view: letter, what it says in the help, what it does.
export interface ViewKey {
  key: string;
  says: string;
  act: () => void;
}

export const viewKeys = signal<ViewKey[]>([]);

export function addKeys(keys: ViewKey[]): () => void {
  viewKeys.value = [...viewKeys.peek(), ...keys];
  return () => (viewKeys.value = viewKeys.peek().filter((key) => !keys.includes(key)));
}

let pending = false;

function afterG(key: string): void {
  pending = false;
  const place = places.find(([, , letter]) => letter === key);
  if (place) go(link([place[0]]));
  else if (key === "n") go(link(["new"]));
}

function common(event: KeyboardEvent): boolean {
  const cursor = cursors[cursors.length - 1];
  const onButton = (event.target as HTMLElement).closest("a, button, summary, [role=tab]") !== null;
  switch (event.key) {
    case "g": pending = true; return true;
    case "?": help.value = !help.value; return true;
    case "z": toggleAbsolute(); return true;
    case "f": go(link(["runs"], { state: "failed" })); return true;
    case "/": document.querySelector<HTMLElement>("[data-find]")?.focus(); return true;
    case "j": cursor?.move(1); return !!cursor;
    case "k": cursor?.move(-1); return !!cursor;
    case "x": cursor?.choose?.(); return !!cursor?.choose;
    case "Enter": if (onButton) return false; cursor?.open(); return !!cursor;
    default: return false;
  }
}

function onKey(event: KeyboardEvent): void {
  const target = event.target as HTMLElement;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.key === "Escape") {
    help.value = false;
    target.blur?.();
    return;
  }
  if (/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) && (target as HTMLInputElement).type !== "checkbox") return;
  if (target.isContentEditable || target.shadowRoot) return;
  if (pending) {
    afterG(event.key);
    event.preventDefault();
    return;
  }
  const own = viewKeys.peek().find(({ key }) => key === event.key);
  if (own) own.act();
  else if (!common(event)) return;
  event.preventDefault();
}

export function startKeys(): void {
  addEventListener("keydown", onKey);
}
