// Where the reader is: `#/runs?state=failed`. All view state is here, so that an address can be shared and the back
// button works.
import { computed, signal } from "@preact/signals";

export interface Route {
  path: string[];
  query: URLSearchParams;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function parse(hash: string): Route {
  const at = hash.indexOf("?");
  const path = (at < 0 ? hash : hash.slice(0, at)).replace(/^#?\/?/, "");
  return { path: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(at < 0 ? "" : hash.slice(at + 1)) };
}

export const route = signal<Route>(parse(location.hash));
addEventListener("hashchange", () => (route.value = parse(location.hash)));
addEventListener("popstate", () => (route.value = parse(location.hash)));

export const page = computed(() => route.value.path[0] ?? "runs");

// A value of the query; "" when it is not there.
export function wanted(name: string): string {
  return route.value.query.get(name) ?? "";
}

export type Values = Record<string, string | undefined>;

function hash(path: string[], search: URLSearchParams): string {
  const out = search.toString();
  return `#/${path.map(encodeURIComponent).join("/")}${out ? `?${out}` : ""}`;
}

export function link(path: string[], values: Values = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value) search.set(name, value);
  return hash(path, search);
}

// This page with some values changed; undefined takes a value away.
export function here(values: Values): string {
  const search = new URLSearchParams(route.value.query);
  for (const [name, value] of Object.entries(values)) {
    if (value) search.set(name, value);
    else search.delete(name);
  }
  return hash(route.value.path, search);
}

export function go(to: string): void {
  if (to === location.hash) return;
  history.pushState(null, "", to);
  route.value = parse(to);
}

// For what changes by the keystroke: the address follows, the history does not grow.
export function refine(values: Values): void {
  const to = here(values);
  history.replaceState(null, "", to);
  route.value = parse(to);
}
