// How the UI behaves: live, by address, by keyboard, in several tabs, without its server.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Gate, mixed, rows, world } from "./world.mjs";

const { daemon, watched, page, open } = await world();

const streams = (context) => {
  const found = [];
  context.on("request", (request) => { if (request.url().endsWith("/api/v1/events")) found.push(request); });
  return found;
};
const liveMark = (view) => view.getByRole("banner").getByText("live");

test("runs and tasks change as they happen", async () => {
  const view = await page("#/runs");
  await liveMark(view).waitFor();
  const gate = new Gate(daemon, "live");
  const runId = await daemon.trigger(await daemon.create("live one", `name: l\ntasks: [{id: waits, type: shell, command: ${JSON.stringify(gate.command)}}, {id: then, type: shell, command: "true", dependencies: [waits]}]\n`));
  await rows(view, "runs").filter({ hasText: "live one" }).getByText("running").waitFor();
  await rows(view, "runs").filter({ hasText: "live one" }).click();
  await rows(view, "timeline").filter({ hasText: "waits" }).getByTitle("running").waitFor();
  gate.end();
  await rows(view, "timeline").filter({ hasText: "then" }).getByTitle("succeeded").waitFor();
  await view.getByRole("heading", { level: 1 }).getByText("succeeded").waitFor();
  assert.equal((await daemon.finished(runId)).state, "succeeded");
});

test("tabs share one connection, and it goes on when its tab goes away", async () => {
  const context = await open();
  const found = streams(context);
  const first = await context.newPage();
  await first.goto(daemon.origin);
  await liveMark(first).waitFor();
  const second = await context.newPage();
  await second.goto(daemon.origin);
  await liveMark(second).waitFor();
  assert.equal(found.length, 1);
  await first.close();
  await daemon.execute("after the first tab", "name: x\ntasks: [{id: a, type: shell, command: \"true\"}]\n");
  await rows(second, "runs").filter({ hasText: "after the first tab" }).getByText("succeeded").waitFor();
  assert.equal(found.length, 2);
});

test("a tab that could not hear for a while notices it", async () => {
  const context = await open();
  await context.addInitScript(() => {
    globalThis.whos = 0;
    globalThis.BroadcastChannel = class extends BroadcastChannel {
      set onmessage(act) {
        this.addEventListener("message", (event) => {
          if (event.data.kind === "who") globalThis.whos++;
          if (!globalThis.isDeaf) act(event);
        });
      }
    };
  });
  const [first, second] = [await context.newPage(), await context.newPage()];
  await first.goto(daemon.origin);
  await liveMark(first).waitFor();
  await second.goto(daemon.origin);
  await liveMark(second).waitFor();
  await daemon.execute("heard", "name: x\ntasks: [{id: a, type: shell, command: \"true\"}]\n");
  await rows(second, "runs").filter({ hasText: "heard" }).getByText("succeeded").waitFor();
  await second.evaluate(() => { globalThis.isDeaf = true; });
  await second.waitForFunction((before) => globalThis.whos > before + 2, await second.evaluate(() => globalThis.whos));
  await daemon.execute("missed", "name: x\ntasks: [{id: a, type: shell, command: \"true\"}]\n");
  await rows(first, "runs").filter({ hasText: "missed" }).getByText("succeeded").waitFor();
  assert.equal(await rows(second, "runs").filter({ hasText: "missed" }).count(), 0);
  await second.evaluate(() => { globalThis.isDeaf = false; });
  await rows(second, "runs").filter({ hasText: "missed" }).getByText("succeeded").waitFor();
});

test("a hidden tab is quiet and resumes where it was", async () => {
  const context = await open();
  await context.addInitScript(() => {
    let hidden = false;
    Object.defineProperty(document, "hidden", { get: () => hidden });
    globalThis.setHidden = (now) => { hidden = now; document.dispatchEvent(new Event("visibilitychange")); };
  });
  const found = streams(context);
  const view = await context.newPage();
  await view.goto(daemon.origin);
  await liveMark(view).waitFor();
  const gone = new Promise((resolve) => context.on("requestfailed", (request) => request.url().endsWith("/api/v1/events") && resolve()));
  await daemon.execute("seen", "name: x\ntasks: [{id: a, type: shell, command: \"true\"}]\n");
  await rows(view, "runs").filter({ hasText: "seen" }).getByText("succeeded").waitFor();
  await view.evaluate(() => globalThis.setHidden(true));
  await gone;
  await daemon.execute("unseen", "name: x\ntasks: [{id: a, type: shell, command: \"true\"}]\n");
  await view.evaluate(() => globalThis.setHidden(false));
  await rows(view, "runs").filter({ hasText: "unseen" }).getByText("succeeded").waitFor();
  assert.match(await found[1].headerValue("Last-Event-ID"), /^\d+-\d+$/);
});

test("a server that is killed and comes back is noticed both times", async () => {
  watched.allow(/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_SOCKET_NOT_CONNECTED/);
  const view = await page("#/runs");
  await liveMark(view).waitFor();
  await daemon.kill();
  await view.getByRole("banner").getByText("stale").waitFor();
  await rows(view, "runs").first().waitFor(); // what was known is still there
  await daemon.start();
  await liveMark(view).waitFor();
  await daemon.execute("after the return", "name: x\ntasks: [{id: a, type: shell, command: \"true\"}]\n");
  await rows(view, "runs").filter({ hasText: "after the return" }).getByText("succeeded").waitFor();
});

test("the header is in the page, and the script takes it over", async () => {
  const parts = (header) => [...header.querySelectorAll("a")].map((a) => `${a.textContent} ${a.getAttribute("href")}`);
  const context = await open();
  let go;
  const loaded = new Promise((resolve) => { go = resolve; });
  await context.route("**/*.js", async (route) => { await loaded; await route.continue(); });
  const view = await context.newPage();
  await view.goto(`${daemon.origin}/#/runs`, { waitUntil: "commit" });
  const header = view.getByRole("banner");
  await header.getByRole("link", { name: "Dead letters" }).waitFor();
  const before = await header.evaluate(parts);
  await header.evaluate((element) => { element.isFirst = true; });
  go();
  await liveMark(view).waitFor();
  assert.deepEqual(await header.evaluate(parts), before);
  assert.ok(await header.evaluate((element) => element.isFirst));
  assert.equal(before.length, 8);
});

test("reload and back lead to what was there", async () => {
  const run = await daemon.execute("places", mixed);
  const view = await page("#/runs?state=failed");
  await rows(view, "runs").filter({ hasText: "places" }).click();
  await view.getByRole("link", { name: "Table" }).click();
  await view.getByRole("button", { name: /succeeded/ }).click();
  await view.waitForFunction(() => document.querySelectorAll("[data-row]").length === 3);
  await view.reload();
  await view.waitForFunction(() => document.querySelectorAll("[data-row]").length === 3);
  assert.match(view.url(), new RegExp(`run/${run.runId}\\?.*view=table.*state=succeeded|run/${run.runId}\\?.*state=succeeded.*view=table`));
  for (let i = 0; i < 3; i++) await view.goBack();
  await view.getByRole("heading", { name: "Runs", level: 1 }).waitFor();
  await view.waitForFunction(() => location.hash === "#/runs?state=failed");
});

test("everything is within reach of the keyboard", async () => {
  await daemon.execute("by keys", mixed);
  const view = await page();
  await rows(view, "runs").first().waitFor();
  for (const [keys, title] of [["gd", "DAGs"], ["gl", "Dead letters"], ["gs", "Schedule"], ["gw", "Workers"], ["gy", "System"], ["gr", "Runs"], ["f", "Runs"]]) {
    for (const key of keys) await view.keyboard.press(key);
    await view.getByRole("heading", { name: title, level: 1 }).waitFor();
  }
  await view.waitForFunction(() => location.hash.includes("state=failed"));
  await rows(view, "runs").first().waitFor();
  await view.keyboard.press("j");
  await view.keyboard.press("Enter");
  await view.getByRole("log").waitFor();
  await view.keyboard.press("b");
  await view.getByRole("table", { name: "tasks" }).waitFor();
  await view.keyboard.press("j");
  await view.keyboard.press("Enter");
  await view.waitForFunction(() => location.hash.includes("task="));
  await view.keyboard.press("?");
  await view.getByRole("complementary", { name: "keys" }).getByText("failed runs, from anywhere").waitFor();
  await view.keyboard.press("Escape");
  await view.keyboard.press("/");
  await view.waitForFunction(() => document.activeElement.getAttribute("aria-label") === "find a task");
});

test("names are text, whatever they hold", async () => {
  const name = `<img src=x onerror=alert(1)>"'&{{7*7}}`;
  const run = await daemon.execute(name, `name: x\ntasks:\n  - {id: "../<b>x</b>%2F", name: "<script>alert(3)</script>", type: shell, command: "exit 1"}\n`);
  const view = await page("#/runs");
  view.on("dialog", () => assert.fail("something ran"));
  await rows(view, "runs").filter({ hasText: name }).click();
  await view.getByRole("heading", { level: 1 }).getByText(name).waitFor();
  await view.getByRole("heading", { level: 2 }).getByText("<script>alert(3)</script>").waitFor();
  await view.getByRole("log").waitFor();
  await view.getByRole("link", { name: "Graph" }).click();
  await view.getByRole("img", { name: /Graph of 1 task and 0 dependencies/ }).waitFor();
  for (const place of ["dags", "letters", `dag/${run.dagId}?tab=history`]) {
    await view.goto(`${daemon.origin}/#/${place}`);
    await view.getByText(place === "letters" || place.includes("history") ? "<script>alert(3)</script>" : name).first().waitFor();
  }
  assert.equal(await view.locator("main img, main script").count(), 0);
});
