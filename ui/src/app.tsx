// The frame around every view: the pages, the live mark, who is signed in, the keys.
import { useEffect } from "preact/hooks";
import { live, staleSince } from "./core/events";
import { duration, now } from "./core/format";
import { help, places, viewKeys } from "./core/keys";
import { link, page, route } from "./core/route";
import { useLoad } from "./core/load";
import { me, signOut } from "./core/session";
import { Notice, Problem, attempt } from "./parts/parts";
import { Dags } from "./views/dags";
import { Letters } from "./views/letters";
import { RunPage } from "./run/page";
import { Runs } from "./views/runs";
import { SignIn } from "./views/signin";

type ViewOf = () => preact.JSX.Element | null;

const views: Record<string, ViewOf> = {
  runs: Runs, run: RunPage, dags: Dags, letters: Letters,
  dag: later("DagPage"), new: later("NewDag"), schedule: later("Schedule"), workers: later("Workers"), system: later("System"),
};

// A view out of the second script.
function later(name: keyof typeof import("./views/more")): ViewOf {
  return function Later() {
    const more = useLoad(name, () => import("./views/more"));
    const Shown = more.value?.[name];
    return Shown ? <Shown /> : <main class="page" aria-busy={more.loading}>{more.error && <><Problem error={more.error} /><button onClick={more.again}>Try again</button></>}</main>;
  };
}

function Nowhere() {
  return <main class="page"><h1>There is no such page</h1><p><a href={link(["runs"])}>Runs</a></p></main>;
}

function View() {
  if (me.value && !me.value.role) return <SignIn />;
  const Shown = views[page.value] ?? Nowhere;
  // A page about another thing is another page: nothing of the former stays.
  return <Shown key={`${page.value}/${route.value.path[1] ?? ""}`} />;
}

// Which page of the header a view belongs to.
const parents: Record<string, string> = { run: "runs", dag: "dags", new: "dags" };

function Header() {
  const current = parents[page.value] ?? page.value;
  const isOutside = me.value !== null && !me.value.role; // nobody is signed in: there is nothing to go to
  return (
    <header>
      <button class="skip" onClick={() => document.querySelector<HTMLElement>("main")?.focus()}>to the content</button>
      <a class="brand" href={link(["runs"])} aria-label="pawl, runs">
        <svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true">
          <path d="M2.5 18.5L7 10v8.500L12 10v8.500L17 10v8.500h4.500M20.500 4.500L13 8" />
        </svg>
        <span>pawl</span>
      </a>
      <nav aria-label="pages" hidden={isOutside}>
        {places.map(([path, title, key]) => (
          <a key={path} href={link([path])} aria-current={current === path ? "page" : undefined} title={`g ${key}`}>{title}</a>
        ))}
      </nav>
      <a class="failures" hidden={isOutside} href={link(["runs"], { state: "failed" })} title="failed runs (f)">Failures</a>
      {!isOutside && <LiveMark />}
      <Who />
      <button class="quiet" onClick={() => (help.value = !help.value)} aria-label="keys" aria-expanded={help.value} title="keys (?)">?</button>
    </header>
  );
}

const PATIENCE_MS = 3000; // until a page that has just been opened should be live

function LiveMark() {
  const ms = live.value ? 0 : Math.max(0, now.value - staleSince.value);
  if (live.value === null && ms < PATIENCE_MS) return <span class="soft" role="status">connecting</span>;
  const words = live.value ? "live" : `stale ${duration(ms).replace(/\.\d s$/, " s")}`;
  return (
    <span class={live.value ? "live" : "live stale"} role="status"
      title={live.value ? "Changes arrive as they happen." : "The connection is down: what you see may be old. It is tried again."}>
      <span aria-hidden="true">{live.value ? "●" : "○"}</span> {words}
    </span>
  );
}

function Who() {
  const own = me.value;
  if (!own?.tokenRequired || !own.role) return null;
  return (
    <span class="who">
      <span title={`role: ${own.role}`}>{own.principal} <span class="soft">{own.role}</span></span>
      <button class="quiet" onClick={() => void attempt("Signed out", signOut)}>Sign out</button>
    </span>
  );
}

const commonKeys: [string[], string][] = [
  [["f"], "failed runs, from anywhere"],
  [["/"], "find"],
  [["j", "k"], "next and previous row"],
  [["Enter"], "open the row"],
  [["x"], "choose the row"],
  [["g", "n"], "a new DAG"],
  [["z"], "times: how long ago, or when"],
  [["?"], "this help"],
  [["Esc"], "leave a field, close this"],
];

function Help() {
  if (!help.value) return null;
  const keys: [string[], string][] = [
    ...viewKeys.value.map(({ key, says }): [string[], string] => [[key], says]),
    ...places.map(([, title, key]): [string[], string] => [["g", key], title]),
    ...commonKeys,
  ];
  return (
    <aside class="help" aria-label="keys" tabIndex={0}>
      <dl>
        {keys.map(([strokes, says]) => (
          <div key={strokes.join(" ")}><dt>{strokes.map((stroke) => <kbd key={stroke}>{stroke}</kbd>)}</dt><dd>{says}</dd></div>
        ))}
      </dl>
    </aside>
  );
}

export function App() {
  useEffect(() => {
    help.value = false;
  }, [page.value]);
  return (
    <>
      <Header />
      <Help />
      <Notice />
      <View />
    </>
  );
}
