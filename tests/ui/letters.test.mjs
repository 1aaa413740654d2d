// Many at once: counted by the server before, done after.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { Gate, rows, world } from "./world.mjs";

const { daemon, page } = await world();
const failing = (n) => `name: failing\ntasks: [${Array.from({ length: n }, (_, i) => `{id: t${i}, type: shell, command: "exit 4"}`).join(", ")}]\n`;

before(async () => {
  await daemon.execute("failing", failing(7));
  await daemon.execute("signaled", "name: signaled\ntasks: [{id: s, type: shell, command: \"kill -9 $$\"}]\n");
});

test("dead letters of one error are retried together", async () => {
  const view = await page("#/letters");
  await view.getByRole("list", { name: "by error" }).getByRole("link", { name: /exit status/ }).click();
  await view.waitForFunction(() => document.querySelectorAll("[data-row]").length === 7);
  await view.getByRole("button", { name: "Retry all…" }).click();
  await view.getByText("Run again: 7 dead letters?").waitFor();
  await view.getByRole("button", { name: "Yes, retry" }).click();
  await view.getByText("Run again: 7 of 7 done").waitFor();
  const letters = await daemon.get("api/v1/dlq?status=retried");
  assert.equal(letters.length, 7);
});

test("one letter is resolved", async () => {
  const view = await page("#/letters");
  await rows(view, "dead letters").filter({ hasText: "signaled" }).first().click(); // the DAG's name
  const pane = view.getByRole("region", { name: /dead letter/ });
  await pane.getByText(/CPU, .* memory/).waitFor();
  await pane.getByRole("button", { name: "Resolve" }).click();
  await view.getByText("Resolved", { exact: true }).waitFor();
  assert.equal((await daemon.get("api/v1/dlq?status=resolved")).length, 1);
});

test("chosen runs are canceled, and no others", async () => {
  const gates = ["a", "b", "c"].map((name) => new Gate(daemon, name));
  const ids = [];
  for (const [i, gate] of gates.entries()) ids.push(await daemon.trigger(await daemon.create(`waits ${i}`, `name: w\ntasks: [{id: w, type: shell, command: ${JSON.stringify(gate.command)}}]\n`)));
  const view = await page("#/runs?state=pending%2Crunning");
  for (const id of ids.slice(0, 2)) await view.getByRole("checkbox", { name: `choose run ${id}` }).check();
  await view.getByRole("button", { name: "Cancel 2 chosen…" }).click();
  await view.getByText("Cancel: 2 active runs?").waitFor();
  await view.getByRole("button", { name: "Yes, cancel" }).click();
  await view.getByText("Cancel: 2 of 2 done").waitFor();
  const runs = await Promise.all(ids.slice(0, 2).map((id) => daemon.finished(id)));
  assert.deepEqual(runs.map((run) => run.state), ["canceled", "canceled"]);
  assert.equal((await daemon.get(`api/v1/runs/${ids[2]}`)).completedAt, null);
  gates[2].end();
  await daemon.finished(ids[2]);
});

test("all runs that a filter finds are made again", async () => {
  const failed = (await daemon.get("api/v1/runs?state=failed&limit=1000")).length;
  const view = await page("#/runs?state=failed");
  await view.getByRole("button", { name: `Rerun what failed ${failed} filtered…` }).click();
  await view.getByText(`Rerun what failed: ${failed} ended runs?`).waitFor();
  await view.getByRole("button", { name: "No" }).click();
  assert.equal((await daemon.get("api/v1/runs?state=failed&limit=1000")).length, failed);
});
