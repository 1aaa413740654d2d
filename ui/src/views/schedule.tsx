// When DAGs fire by themselves: the next fires of all of them, and a tester for cron expressions with time zones.
import { useEffect } from "preact/hooks";
import { get, query } from "../core/api";
import { listen } from "../core/events";
import { at, count, zone } from "../core/format";
import { useLoad, useThrottled } from "../core/load";
import { go, here, link, refine, wanted } from "../core/route";
import { quoted } from "../core/shell";
import type { Fire, Preview } from "../core/types";
import { type Column, List } from "../parts/list";
import { Commands, Empty, Problem, Select, Time, Title } from "../parts/parts";

const FIRES = 200;

interface Fires {
  fires: Fire[];
  dagCount: number;
  truncated: boolean;
}

const columns: Column[] = [
  { name: "In", width: "minmax(66px, 0.6fr)" },
  { name: "DAG", width: "minmax(90px, 1fr)" },
  { name: "Local time there", width: "184px" },
  { name: "Zone", width: "minmax(96px, 1fr)", minor: true },
  { name: "Why", width: "minmax(40px, 0.6fr)", minor: true, extra: true },
];

export function Schedule() {
  const path = `api/v1/schedule/next${query({ limit: FIRES })}`;
  const next = useLoad("", (abort) => get<Fires>(path, abort));
  const reload = useThrottled(next.again, 1000);
  useEffect(() => listen((event) => {
    if (event.name === "reset" || (event.name === "run" && event.data.triggeredBy === "schedule")) reload();
  }), []);
  const fires = next.value?.fires ?? [];
  return (
    <main class="fill" tabIndex={-1}>
      <Title text="Schedule" />
      <div class="heading">
        <h1>Schedule</h1>
        <p class="facts">{next.value && <span>{count(next.value.dagCount, "DAG")} with a schedule that goes</span>}<span>your zone is {zone()}</span></p>
      </div>
      <Problem error={next.error} />
      <div class="split even">
        <section class="main-pane" aria-label="next fires">
          <h2>Next</h2>
          {next.value && fires.length === 0 ? <Empty>No DAG fires by itself.</Empty> : (
            <List label="next fires" items={fires} id={(fire) => `${fire.dagId}${fire.at}`} columns={columns} open={(fire) => go(link(["dag", fire.dagId]))} height={30}
              row={(fire) => [
                <Time time={fire.at} />, <a href={link(["dag", fire.dagId])}>{fire.dagName}</a>, <span title={at(fire.at)}>{wall(fire.local)}</span>, fire.timezone,
                fire.why === "on time" ? "" : fire.why,
              ]} />
          )}
        </section>
        <Tester />
      </div>
      <Commands cli={wanted("expr") ? `pawl cron preview ${quoted(wanted("expr"))} --tz ${quoted(wanted("tz") || zone())}` : "pawl cron preview DAG"} curl={wanted("expr") ? `api/v1/schedule/preview${query({ expr: wanted("expr"), tz: wanted("tz") || zone(), n: 10 })}` : path} />
    </main>
  );
}

// "2026-11-29T02:00:00+01:00" as "2026-11-29 02:00 +01:00".
function wall(local: string): string {
  return `${local.slice(0, 10)} ${local.slice(11, 16)} ${local.slice(19)}`;
}

const examples: [string, string][] = [["*/15 * * * *", "every quarter"], ["0 2 * * *", "each night at 2"], ["30 8 * * mon-fri", "on working days"], ["@monthly", "each month"]];

function zones(): string[] {
  return ["UTC", ...Intl.supportedValuesOf("timeZone")];
}

function Tester() {
  const expr = wanted("expr"), tz = wanted("tz") || zone(), from = wanted("from");
  const start = from ? new Date(from) : null;
  const path = `api/v1/schedule/preview${query({ expr, tz, n: 10, from: start && !Number.isNaN(start.getTime()) ? start.toISOString() : undefined })}`;
  const preview = useLoad(expr ? path : "", async (abort) => (expr ? get<Preview>(path, abort) : undefined));
  return (
    <section class="pane scroll" aria-label="cron tester" tabIndex={0}>
      <h2>Try an expression</h2>
      <div class="filters">
        <label class="field"><span>Cron</span>
          <input data-find="" class="cron" value={expr} placeholder="minute hour day month weekday" spellcheck={false} onInput={(e) => refine({ expr: e.currentTarget.value })} />
        </label>
        <Select label="Zone" value={tz} choose={(value) => go(here({ tz: value }))} options={zones().map((name): [string, string] => [name, name])} />
        <label class="field"><span>From</span><input type="datetime-local" value={from} onChange={(e) => refine({ from: e.currentTarget.value })} /></label>
      </div>
      {!expr && <p class="soft">For example {examples.map(([text, says], i) => <span key={text}>{i > 0 && ", "}<a href={here({ expr: text })}><code>{text}</code></a> {says}</span>)}.</p>}
      <Problem error={preview.error} />
      {preview.value && (
        <table class="plain">
          <thead><tr><th>In</th><th>There ({preview.value.timezone})</th><th>UTC</th><th>Daylight saving</th></tr></thead>
          <tbody>
            {preview.value.next.map((fire) => (
              <tr key={fire.utc}><td><Time time={fire.utc} /></td><td>{wall(fire.local)}</td><td>{fire.utc.slice(0, 16).replace("T", " ")}Z</td><td>{fire.why === "on time" ? "" : fire.why}</td></tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
