// Pictures of every view, light and dark, wide and narrow, for somebody to look at:
//     PAWL=build/pawl node tests/ui/shots.mjs FOLDER [PART-OF-A-NAME]
// The data are recorded workflows where they are there, else made ones.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Watched, launch } from "./browser.mjs";
import { Daemon } from "./daemon.mjs";
import { Gate, mixed, workload } from "./world.mjs";

const [folder, part = ""] = process.argv.slice(2);
if (!folder) throw new Error("usage: shots.mjs FOLDER [PART-OF-A-NAME]");
mkdirSync(folder, { recursive: true });

const nightly = `name: nightly
description: loads the warehouse each night
schedule: {cron: "30 2 * * *", timezone: Europe/Berlin}
defaults: {timeout: 10m}
tasks:
  - {id: extract, type: shell, command: "for i in 1 2 3; do echo \\"page $i: 4096 rows\\"; done; sleep 0.3"}
  - {id: users, type: shell, command: "printf '\\\\033[32mok\\\\033[0m 1200 users\\\\n'; sleep 0.5", dependencies: [extract]}
  - {id: orders, type: shell, command: "echo 88213 orders; sleep 0.9", dependencies: [extract]}
  - {id: items, type: shell, command: "echo 410112 items; sleep 0.7", dependencies: [extract]}
  - {id: join, type: shell, command: "seq -f 'chunk %g written' 1 400; sleep 0.4", dependencies: [users, orders, items]}
  - {id: check, type: shell, command: "echo checking sums; printf '\\\\033[1;31merror\\\\033[0m: orders without users: 3\\\\n'; exit 3", dependencies: [join], retry: {maxAttempts: 2, initialDelay: 100ms}}
  - {id: publish, type: shell, command: "echo published", dependencies: [check]}
  - {id: report, type: shell, command: "echo mailed", dependencies: [publish]}
  - {id: archive, type: shell, command: "echo kept; sleep 0.2", dependencies: [join]}
`;
const hourly = `name: hourly sync
schedule: "5 * * * *"
tasks: [{id: fetch, type: shell, command: "echo 12 changes"}, {id: apply, type: shell, command: "echo applied; sleep 0.1", dependencies: [fetch]}]
`;

const token = {};
const daemon = await new Daemon(["--require-token", "--workers", "2", "--slots", "4"]).start();
token.admin = daemon.token("admin").token;
const send = daemon.send.bind(daemon);
daemon.send = (method, path, body, headers = {}) => send(method, path, body, { Authorization: `Bearer ${token.admin}`, ...headers });

const ids = {};
ids.nightly = await daemon.create("nightly", nightly);
ids.hourly = await daemon.create("hourly sync", hourly);
ids.large = await daemon.create("v1-montage", workload("v1-montage-2mass-01d") ?? mixed);
ids.other = await daemon.create("llvm build", workload("v8-llvm13-clang-build") ?? mixed);
for (let i = 0; i < 5; i++) ids.failed = (await daemon.finished(await daemon.trigger(ids.nightly))).runId;
for (let i = 0; i < 12; i++) await daemon.finished(await daemon.trigger(ids.hourly));
ids.bigRun = (await daemon.finished(await daemon.trigger(ids.large))).runId;
ids.otherRun = (await daemon.finished(await daemon.trigger(ids.other))).runId;
await daemon.send("PUT", `api/v1/dags/${ids.nightly}`, { yaml: nightly.replace("timeout: 10m", "timeout: 15m").replace("echo mailed", "echo mailed to the team") });
await daemon.execute("signaled", "name: s\ntasks: [{id: crunch, type: shell, command: \"kill -9 $$\"}, {id: after, type: shell, command: x, dependencies: [crunch]}]\n");
const gate = new Gate(daemon, "gate");
ids.running = await daemon.trigger(await daemon.create("long one", `name: l\ntasks: [{id: waits, type: shell, command: ${JSON.stringify(gate.command)}}, {id: then, type: shell, command: "true", dependencies: [waits]}]\n`));
gate.say("working on it");
gate.say("still working");

const places = {
  "signin": ["", "none"], "runs": ["#/runs"], "runs-failed": ["#/runs?state=failed&range=own"], "runs-none": ["#/runs?q=nothing+holds+this"],
  "run-timeline": [`#/run/${ids.failed}`], "run-table": [`#/run/${ids.failed}?view=table`], "run-graph": [`#/run/${ids.failed}?view=graph`], "run-skipped": [`#/run/${ids.failed}?task=report`],
  "run-big-timeline": [`#/run/${ids.bigRun}?task=-`], "run-big-graph": [`#/run/${ids.bigRun}?view=graph&task=-`], "run-other-graph": [`#/run/${ids.otherRun}?view=graph&task=-`],
  "run-live": [`#/run/${ids.running}?task=waits`], "log": [`#/run/${ids.failed}?task=join&lq=chunk+39`],
  "dags": ["#/dags"], "dag-runs": [`#/dag/${ids.nightly}`], "dag-graph": [`#/dag/${ids.nightly}?tab=graph`], "dag-history": [`#/dag/${ids.nightly}?tab=history`],
  "dag-versions": [`#/dag/${ids.nightly}?tab=versions`], "dag-source": [`#/dag/${ids.nightly}?tab=source`],
  "letters": ["#/letters"], "letter": ["#/letters", "admin", (page) => page.locator("[data-row]").first().click()],
  "schedule": ["#/schedule?expr=30+2+*+*+*&tz=Europe%2FBerlin&from=2026-03-28T00%3A00"], "workers": ["#/workers"], "system": ["#/system"], "settings": ["#/system?tab=settings"],
  "new": ["#/new"], "new-errors": ["#/new", "admin", (page) => breakFile(page)], "keys": ["#/runs", "admin", (page) => page.keyboard.press("?")],
  "confirm": [`#/run/${ids.running}`, "admin", (page) => page.getByRole("button", { name: "Cancel" }).click()], "docs": ["docs"],
};

async function breakFile(page) {
  const editor = page.getByRole("textbox", { name: "source of the DAG" });
  await editor.click();
  await page.keyboard.press("Control+End");
  await page.keyboard.insertText("  - id: third\n    type: shel\n    comand: x\n    dependencies: [nobody]\n");
  await page.locator(".problems li.error").first().waitFor();
}

const browser = await launch();
const watched = new Watched(daemon.origin);
for (const scheme of ["light", "dark"]) for (const [size, viewport] of Object.entries({ wide: { width: 1360, height: 860 }, narrow: { width: 390, height: 844 } })) {
  const context = await watched.open(browser, { colorScheme: scheme, viewport });
  const page = await context.newPage();
  for (const [name, [place, role = "admin", act]] of Object.entries(places)) {
    if (role !== "none" && !(await context.cookies()).length) {
      await page.goto(`${daemon.origin}/`);
      await page.getByLabel("Token").fill(token.admin);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByRole("banner").getByText("live").waitFor();
    }
    if (!name.includes(part)) continue;
    await page.goto(`${daemon.origin}/${place}`);
    await page.reload();
    await page.getByRole("heading", { level: 1 }).first().waitFor();
    await page.waitForFunction(() => !document.querySelector("[aria-busy=true]"));
    if (act) await act(page);
    await page.evaluate(() => new Promise((done) => setTimeout(done, 600)));
    await page.screenshot({ path: join(folder, `${name}-${scheme}-${size}.png`), fullPage: size === "narrow" && place !== "docs" });
  }
  await context.close();
}
await browser.close();
gate.end();
await daemon.close();
console.log(watched.take().filter((finding) => !/status of 401/.test(finding)).join("\n") || "nothing went wrong on the side");
