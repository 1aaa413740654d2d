// Every view with real data.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { pawl } from "./daemon.mjs";
import { hasCount, mixed, rows, world } from "./world.mjs";

const { daemon, page } = await world();
let failed, dagId;

before(async () => {
  dagId = await daemon.create("mixed", mixed);
  failed = await daemon.finished(await daemon.trigger(dagId));
  await daemon.execute("scheduled", "name: scheduled\nschedule: {cron: \"30 2 * * *\", timezone: Europe/Berlin}\ntasks: [{id: only, type: shell, command: \"true\"}]\n");
});

test("a failure's log is two clicks away, and the cause is shown before the first", async () => {
  const view = await page();
  await view.getByText("task 'load' failed").first().waitFor();
  await view.getByRole("link", { name: "Failures" }).click();
  await hasCount(rows(view, "runs"), 1);
  await rows(view, "runs").first().click();
  await view.getByRole("log").getByText("about to fail").waitFor();
});

test("runs are filtered by the server, and the filter is in the address", async () => {
  const view = await page("#/runs");
  await hasCount(rows(view, "runs"), 2);
  await view.getByRole("button", { name: "failed" }).click();
  await view.waitForFunction(() => location.hash.includes("state=failed"));
  await view.waitForFunction(() => document.querySelectorAll("[data-row]").length === 1);
  await view.getByRole("combobox", { name: "DAG" }).selectOption({ label: "scheduled" });
  await view.getByText("No run is like that").waitFor();
  await view.goBack();
  await view.waitForFunction(() => document.querySelectorAll("[data-row]").length === 1);
  await view.getByRole("searchbox").fill("LOAD");
  await view.waitForFunction(() => location.hash.includes("q=LOAD"));
  assert.match(await rows(view, "runs").first().textContent(), /mixed/);
  await view.getByRole("searchbox").fill("no such error");
  await view.getByText("No run is like that").waitFor();
});

test("the views of a run share their selection", async () => {
  const view = await page(`#/run/${failed.runId}`);
  const pane = view.getByRole("region", { name: "task load" });
  await pane.waitFor();
  await view.getByRole("link", { name: "Table" }).click();
  await pane.waitFor();
  await rows(view, "tasks").filter({ hasText: "audit" }).click();
  await view.getByRole("region", { name: "task audit" }).waitFor();
  await view.getByRole("link", { name: "Timeline" }).click();
  await view.getByRole("region", { name: "task audit" }).waitFor();
  assert.match(await rows(view, "timeline").filter({ hasText: "audit" }).getAttribute("class"), /\bon\b/);
  await view.getByRole("link", { name: "Graph" }).click();
  await view.getByRole("img", { name: /Graph of 5 tasks and 4 dependencies/ }).waitFor();
  assert.match(view.url(), /task=audit/);
});

test("a task says why it was skipped, and by which attempt it failed", async () => {
  const view = await page(`#/run/${failed.runId}?task=report`);
  const pane = view.getByRole("region", { name: "task report" });
  await pane.getByRole("link", { name: "load" }).click();
  const load = view.getByRole("region", { name: "task load" });
  await load.getByText("exit status 3").first().waitFor();
  await load.getByRole("group", { name: "attempts" }).getByRole("link", { name: /^1/ }).click();
  await view.waitForFunction(() => location.hash.includes("attempt=1"));
  await load.getByRole("log").getByText("about to fail").waitFor();
});

test("the critical path is marked", async () => {
  const view = await page(`#/run/${failed.runId}`);
  await view.getByText(/critical path: 3 tasks/).waitFor();
  await hasCount(view.locator(".row.critical"), 3);
  await rows(view, "timeline").filter({ hasText: "clean" }).getByRole("img", { name: /^waited .* for a slot, ran / }).waitFor();
  // It failed in its second attempt: what is before that is not all a wait for a slot.
  await rows(view, "timeline").filter({ hasText: "load" }).getByRole("img", { name: /^waited .* from when it was ready to this attempt, ran / }).waitFor();
  await view.getByRole("region", { name: "task load" }).getByText(/from when it was ready to this attempt/).waitFor();
});

test("a run is made again from where it failed", async () => {
  const view = await page(`#/run/${failed.runId}`);
  await view.getByRole("button", { name: "Rerun 2 tasks that did not succeed" }).click();
  await view.waitForFunction((old) => !location.hash.includes(old), failed.runId);
  await view.getByText("again of").waitFor();
  await view.getByRole("link", { name: "Table" }).click();
  await rows(view, "tasks").filter({ hasText: "extract" }).getByText("kept").waitFor();
});

test("DAGs show how the last runs went, run and pause", async () => {
  const view = await page("#/dags");
  const row = rows(view, "DAGs").filter({ hasText: "scheduled" });
  await row.getByRole("link", { name: "run succeeded" }).waitFor();
  await row.getByText("30 2 * * *").waitFor();
  await row.getByRole("button", { name: "Pause scheduled" }).click();
  await row.getByText("paused", { exact: true }).waitFor();
  await row.getByRole("button", { name: "Resume scheduled" }).click();
  await row.getByText(/^in /).waitFor();
  await row.getByRole("button", { name: "Run now: scheduled" }).click();
  await view.waitForFunction(() => location.hash.startsWith("#/run/"));
});

test("the history is a grid of tasks and runs", async () => {
  const view = await page(`#/dag/${dagId}?tab=history`);
  const cell = view.getByRole("row", { name: /load/ }).getByRole("link", { name: /failed after 2 attempts/ }).first();
  await cell.click();
  await view.getByRole("region", { name: "task load" }).waitFor();
});

test("versions are compared", async () => {
  const id = await daemon.create("versioned", "name: versioned\ntasks: [{id: a, type: shell, command: \"true\"}]\n");
  await daemon.send("PUT", `api/v1/dags/${id}`, { yaml: "name: versioned\n# a remark\ntasks: [{id: a, type: shell, command: \"true\"}]\n" });
  const view = await page(`#/dag/${id}?tab=versions`);
  await view.getByText("v1 to v2: 1 lines added, 0 removed").waitFor();
  await view.locator(".diff .new").getByText("# a remark").waitFor();
});

test("the schedule lists what comes and tries expressions", async () => {
  const view = await page("#/schedule");
  await rows(view, "next fires").first().getByText("Europe/Berlin").waitFor();
  await view.getByRole("textbox", { name: "Cron" }).fill("0 9 * * mon");
  await view.getByRole("combobox", { name: "Zone" }).selectOption("Asia/Tokyo");
  await view.getByRole("cell", { name: /09:00 \+09:00/ }).first().waitFor();
  await view.reload();
  await view.getByRole("cell", { name: /09:00 \+09:00/ }).first().waitFor();
});

test("a worker is drained and takes work again", async () => {
  const view = await page("#/workers");
  const row = view.getByRole("row").filter({ has: view.getByRole("button", { name: "Drain" }) }).first();
  await row.getByRole("button", { name: "Drain" }).click();
  await view.getByText("Drain 1 worker? Its 0 running tasks go on to the end.").waitFor();
  await view.getByRole("button", { name: "Yes, drain" }).click();
  await view.getByRole("button", { name: "Resume" }).click();
  await view.getByRole("button", { name: "Resume" }).waitFor({ state: "detached" });
});

test("health and the API's documents are one page", async () => {
  const view = await page("#/system");
  await view.getByRole("region", { name: "health" }).getByText("engine").waitFor();
  for (const link of await view.getByRole("region", { name: "API" }).getByRole("link").all()) {
    const answer = await daemon.send("GET", await link.getAttribute("href"));
    assert.equal(answer.status, 200, await link.getAttribute("href"));
    await answer.body.cancel();
  }
});

test("settings are shown with where they came from", async () => {
  const view = await page("#/system");
  await view.getByRole("link", { name: "Settings" }).click();
  const row = (name) => view.getByRole("row").filter({ has: view.getByRole("rowheader", { name: new RegExp(`^${name} `) }) });
  await row("listen").getByText("flag --listen").waitFor();
  await row("workers").getByRole("cell", { name: "default", exact: true }).waitFor();
  await view.getByRole("combobox", { name: "From" }).selectOption("flag");
  await row("workers").waitFor({ state: "detached" });
  await view.getByRole("searchbox").fill("data");
  await row("listen").waitFor({ state: "detached" });
  await row("data").getByText(daemon.data).waitFor();
  assert.match(view.url(), /tab=settings/);
});

test("times are told as they are, by a key, here and after a reload", async () => {
  const view = await page("#/runs");
  const time = rows(view, "runs").first().locator("time");
  await time.getByText(/ago|just now/).waitFor();
  await view.keyboard.press("z");
  await time.getByText(/\d\d:\d\d:\d\d$/).waitFor();
  await view.reload();
  await time.getByText(/\d\d:\d\d:\d\d$/).waitFor();
  assert.match(await time.getAttribute("title"), /CET|GMT|UTC.*\(\d{4}-\d\d-\d\dT.*Z\)/);
});

test("every screen has its commands, and they are what it shows", async () => {
  const view = await page();
  symlinkSync(daemon.data, join(daemon.folder, "pawl")); // where commands look by themselves
  const tabs = ["graph", "history", "versions", "source"].map((tab) => `dag/${dagId}?tab=${tab}`);
  for (const place of ["runs?state=failed,canceled&by=api&q=load", `run/${failed.runId}`, `run/${failed.runId}?task=-`, "dags", `dag/${dagId}`, ...tabs, "letters", "schedule", "schedule?expr=@daily", "workers", "system", "system?tab=settings", "new"]) {
    await view.goto(`${daemon.origin}/#/${place}`);
    const lines = view.getByRole("region", { name: "the same on a terminal" }).locator("code");
    await lines.first().waitFor();
    const [cli, curl] = await lines.allTextContents();
    assert.match(cli, /^pawl /);
    if (!/FILE| DAG$/.test(cli)) assert.equal(spawnSync("sh", ["-c", cli.replace(/^pawl/, `"${pawl}"`)], { env: { ...process.env, XDG_DATA_HOME: daemon.folder } }).status, 0, cli);
    const address = /http:\/\/\S+?(?='?$)/.exec(curl)[0];
    if (!curl.includes("POST")) assert.equal((await fetch(address)).status, 200, address);
  }
});
