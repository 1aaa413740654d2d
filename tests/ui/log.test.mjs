// Logs: live, long, searched, linked, and never anything but text.
import assert from "node:assert/strict";
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Gate, world } from "./world.mjs";

const { daemon, page } = await world(["--log-bytes-max", "64MiB"]);

const one = (command) => `name: x\ntasks: [{id: t, type: shell, command: ${JSON.stringify(command)}}]\n`;
const lines = (view) => view.locator(".lines [data-at]");

test("a log grows as the task writes", async () => {
  const gate = new Gate(daemon, "grows");
  const runId = await daemon.trigger(await daemon.create("grows", one(gate.command)));
  const view = await page(`#/run/${runId}?task=t`);
  gate.say("first words");
  await view.getByRole("log").getByText("first words").waitFor();
  gate.say("and more");
  await view.getByRole("log").getByText("and more").waitFor();
  await view.getByText("live", { exact: false }).first().waitFor();
  gate.end(2);
  await view.getByRole("heading", { name: "t failed" }).waitFor();
  await view.getByRole("log").getByText("first words").waitFor();
});

test("a long log is read by pieces: few lines are held, any can be reached", async () => {
  const run = await daemon.execute("long", one("seq 1 2000000"));
  const asked = [];
  const view = await page();
  view.on("request", (request) => { if (request.url().includes("/log?")) asked.push(new URL(request.url()).searchParams); });
  await view.goto(`${daemon.origin}/#/run/${run.runId}?task=t`);
  await view.getByRole("log").getByText("2000000", { exact: true }).waitFor();
  await view.getByRole("button", { name: "Start" }).click();
  await view.locator(".lines .text").getByText("1", { exact: true }).waitFor();
  for (let i = 0; i < 12; i++) {
    const last = await lines(view).last().getAttribute("data-at");
    await view.getByRole("log").evaluate((box) => { box.scrollTop = box.scrollHeight; });
    await view.waitForFunction((before) => [...document.querySelectorAll(".lines [data-at]")].pop().dataset.at !== before, last);
  }
  assert.equal(await lines(view).count() <= 4 * 800, true);
  assert.equal(asked.every((query) => Number(query.get("limit")) <= 1024 * 1024), true);
  const numbers = await view.locator(".lines .number").allTextContents();
  const texts = (await view.locator(".lines .text").allTextContents()).map((text) => text.trim());
  assert.deepEqual(numbers, texts, "a line's number is its number in the whole log");
});

// The log of a task that wrote `seq 1 200000`, made a gigabyte long: lines in a few places of a file with holes.
function lengthen(runId, size, places) {
  const file = openSync(join(daemon.data, "logs", runId.slice(-2), runId, "0.1.log"), "r+");
  ftruncateSync(file, size);
  for (const [at, text] of places) writeSync(file, text, at);
  closeSync(file);
}

test("a log of a gigabyte takes no more memory than a short one", async () => {
  const run = await daemon.execute("gigabyte", one("seq 1 200000"));
  const size = 1_000_000_000, words = (first) => `\n${Array.from({ length: 20000 }, (_, i) => `line ${first + i} of many`).join("\n")}\n`;
  const needle = 100_000_001, link = 900_000_001, last = "\nthe very last line\n";
  lengthen(run.runId, size, [[needle - 1, "\nthe Needle of the haystack\n"], [link - 1, words(7_000_000)], [size - last.length, last]]);
  const view = await page(`#/run/${run.runId}?task=t`);
  const session = await view.context().newCDPSession(view);
  const heap = async () => {
    await session.send("HeapProfiler.collectGarbage");
    return (await session.send("Runtime.getHeapUsage")).usedSize;
  };
  const log = view.getByRole("log");
  await log.getByText("the very last line").waitFor();
  await view.getByText("1.0 GB").waitFor();
  const before = await heap();
  await view.keyboard.press("L");
  await view.keyboard.type("needle of the");
  await view.keyboard.press("Enter");
  await view.locator(".lines .current").getByText("the Needle of the haystack").waitFor();
  await view.waitForFunction((at) => location.hash.includes(`at=${at}`), needle);
  await view.goto(`${daemon.origin}/#/run/${run.runId}?task=t&at=${link}`);
  await view.reload();
  await view.locator(".lines .current").getByText("line 7000000 of many").waitFor();
  for (let i = 0; i < 10; i++) {
    const at = await lines(view).last().getAttribute("data-at");
    await log.evaluate((box) => { box.scrollTop = box.scrollHeight; });
    await view.waitForFunction((old) => [...document.querySelectorAll(".lines [data-at]")].pop().dataset.at !== old, at);
  }
  await view.getByRole("button", { name: "Start" }).click();
  await view.locator(".lines .text").getByText("1", { exact: true }).waitFor();
  await view.getByRole("button", { name: "End" }).click();
  await log.getByText("the very last line").waitFor();
  const after = await heap();
  assert.equal(after < before + 8e6 && after < 30e6, true, `${before} bytes of heap before, ${after} after`);
});

test("the search goes through the whole log, and the address holds the line", async () => {
  const run = await daemon.execute("searched", one("seq 1 900000; echo the Needle is here; seq 1 900000"));
  const view = await page(`#/run/${run.runId}?task=t`);
  await view.getByRole("log").getByText("900000", { exact: true }).waitFor();
  await view.keyboard.press("L");
  await view.keyboard.type("nEEDLE");
  await view.keyboard.press("Enter");
  const hit = view.locator(".lines .current");
  await hit.getByText("the Needle is here").waitFor();
  await hit.locator("mark").getByText("Needle").waitFor();
  await view.reload();
  await view.locator(".lines .current").getByText("the Needle is here").waitFor();
  assert.match(view.url(), /at=\d+/);
});

test("long lines are wrapped or not, by a key", async () => {
  const run = await daemon.execute("wide", one("head -c 5000 /dev/zero | tr '\\0' x; echo; echo short"));
  const view = await page(`#/run/${run.runId}?task=t`);
  const log = view.getByRole("log");
  await log.getByText("short").waitFor();
  const overflow = () => log.evaluate((box) => box.scrollWidth > box.clientWidth);
  assert.equal(await overflow(), false);
  await view.keyboard.press("w");
  await view.waitForFunction(() => location.hash.includes("wrap=no"));
  assert.equal(await overflow(), true);
});

test("a log is downloaded whole", async () => {
  const run = await daemon.execute("whole", one("seq 1 3000000"));
  const view = await page(`#/run/${run.runId}?task=t`);
  const coming = view.waitForEvent("download");
  await view.getByRole("link", { name: "Download" }).click();
  const download = await coming;
  let size = 0;
  for await (const piece of await download.createReadStream()) size += piece.length;
  assert.equal(download.suggestedFilename(), "t.1.log");
  assert.equal(size, 22888896);
});

test("what a task writes is text, whatever it writes", async () => {
  const run = await daemon.execute("hostile", one(`printf '<img src=x onerror=alert(1)>\\n<script>alert(2)</script>\\n\\033]0;title\\007\\033[31mred\\033[0m\\n\\377\\376 bytes\\n'`));
  const view = await page(`#/run/${run.runId}?task=t`);
  view.on("dialog", () => assert.fail("something ran"));
  await view.getByText("<img src=x onerror=alert(1)>").waitFor();
  await view.getByText("<script>alert(2)</script>").waitFor();
  await view.locator(".lines .f1").getByText("red", { exact: true }).waitFor();
  assert.equal(await view.locator(".lines img, .lines script").count(), 0);
});
