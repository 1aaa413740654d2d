import "./style.css";
import { render } from "preact";
import { useEffect } from "preact/hooks";
import { DagPage, Dags, NewDag } from "./dags";
import { live, start } from "./events";
import { Letters } from "./letters";
import { Notice } from "./parts";
import { go, link, page } from "./route";
import { RunPage } from "./run";
import { Runs } from "./runs";
import { signal } from "@preact/signals";
import { Workers } from "./workers";

const help = signal(false);

const places = [["runs", "Runs", "r"], ["dags", "DAGs", "d"], ["letters", "Dead letters", "l"], ["workers", "Workers", "w"]] as const;

function rows(): HTMLElement[] {
  return [...document.querySelectorAll<HTMLElement>("main tbody tr td a, main button.line")];
}

// Keys: g and a letter goes to a page, / finds, j and k move, f shows failures, ? explains.
let pending = "";
function onKey(event: KeyboardEvent): void {
  const target = event.target as HTMLElement;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    help.value = false;
    target.blur();
    return;
  }
  if (/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) return;
  if (pending === "g") {
    pending = "";
    const place = places.find(([, , key]) => key === event.key);
    if (place) go(link([place[0]]));
    return;
  }
  if (event.key === "g") pending = "g";
  else if (event.key === "?") help.value = !help.value;
  else if (event.key === "f") go(link(["runs"], { state: "failed" }));
  else if (event.key === "/") {
    event.preventDefault();
    document.getElementById("find")?.focus();
  } else if (event.key === "j" || event.key === "k") {
    const all = rows();
    const at = all.indexOf(document.activeElement as HTMLElement);
    const next = all[Math.max(0, Math.min(all.length - 1, at + (event.key === "j" ? 1 : -1)))];
    next?.focus();
  }
}

function View() {
  switch (page.value) {
    case "runs": return <Runs />;
    case "run": return <RunPage />;
    case "dags": return <Dags />;
    case "dag": return <DagPage />;
    case "new": return <NewDag />;
    case "letters": return <Letters />;
    case "workers": return <Workers />;
    default: return <main><h1>There is no such page</h1><p><a href={link(["runs"])}>Runs</a></p></main>;
  }
}

function App() {
  useEffect(() => {
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  return (
    <>
      <header>
        <a class="brand" href={link(["runs"])}>pawl</a>
        <nav aria-label="pages">
          {places.map(([path, title]) => <a key={path} href={link([path])} aria-current={page.value === path ? "page" : undefined}>{title}</a>)}
        </nav>
        <span class={`live ${live.value}`} title={live.value === "live" ? "changes arrive as they happen" : "the connection is down; what you see may be old"}>
          {live.value === "live" ? "● live" : "○ stale"}
        </span>
        <button onClick={() => (help.value = !help.value)} aria-label="keyboard help" aria-expanded={help.value}>?</button>
      </header>
      {help.value && (
        <aside aria-label="keys">
          <dl>
            {places.map(([, title, key]) => <><dt><kbd>g</kbd> <kbd>{key}</kbd></dt><dd>{title}</dd></>)}
            <dt><kbd>f</kbd></dt><dd>failed runs</dd>
            <dt><kbd>/</kbd></dt><dd>find</dd>
            <dt><kbd>j</kbd> <kbd>k</kbd></dt><dd>next and previous row</dd>
            <dt><kbd>Enter</kbd></dt><dd>open</dd>
            <dt><kbd>Esc</kbd></dt><dd>leave a field, close this</dd>
          </dl>
        </aside>
      )}
      <Notice />
      <View />
    </>
  );
}

start();
render(<App />, document.getElementById("app")!);
