// Where the reader is: `#/runs?state=failed`. All view state is here, so that the address can be shared and the back
// button works.
import { computed, signal } from "@preact/signals";

export interface Route {
  path: string[];
  query: URLSearchParams;
}

function parse(): Route {
  const [path = "", search = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  return { path: path.split("/").filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(search) };
}

export const route = signal<Route>(parse());
addEventListener("hashchange", () => (route.value = parse()));

export const page = computed(() => route.value.path[0] ?? "runs");

export function link(path: string[], values: Record<string, string | undefined> = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value) search.set(name, value);
  const out = search.toString();
  return `#/${path.map(encodeURIComponent).join("/")}${out ? `?${out}` : ""}`;
}

export function go(to: string): void {
  location.hash = to;
}

// The same page with some query values changed; no new entry in the history.
export function refine(values: Record<string, string | undefined>): void {
  const search = new URLSearchParams(route.value.query);
  for (const [name, value] of Object.entries(values)) {
    if (value) search.set(name, value);
    else search.delete(name);
  }
  const out = search.toString();
  history.replaceState(null, "", `#/${route.value.path.map(encodeURIComponent).join("/")}${out ? `?${out}` : ""}`);
  route.value = parse();
}
