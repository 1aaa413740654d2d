// The graph on its canvas, with recorded workflows of thousands of tasks.
import assert from "node:assert/strict";
import { test } from "node:test";
import { mixed, rows, workload, world } from "./world.mjs";

const { daemon, open, page } = await world();

// How many pixels of the canvas are not background.
const drawn = (view) => view.locator("canvas").evaluate((canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let i = 3; i < data.length; i += 4) if (data[i] > 0) count++;
  return count;
});
const until = async (what, check) => { for (let i = 0; i < 300; i++) { if (await check()) return; await new Promise((go) => setTimeout(go, 50)); } assert.fail(what); };

test("a box is chosen by hand, its relatives by choice, and by keys", async () => {
  const run = await daemon.execute("mixed", mixed);
  const view = await page(`#/run/${run.runId}?view=graph&task=-`);
  await until("the graph is drawn", async () => (await drawn(view)) > 1000);
  const graph = await daemon.get(`api/v1/dags/${run.dagId}/graph`);
  const box = await view.locator("canvas").boundingBox();
  const place = async () => /place=([^&]*)/.exec(view.url())?.[1].split("%2C").map(Number);
  await view.getByRole("button", { name: "Fit" }).click();
  await until("the place is in the address", async () => (await place()) !== undefined);
  const [x, y, scale] = await place();
  const audit = graph.nodes.find((node) => node.taskId === "audit");
  await view.mouse.click(box.x + box.width / 2 + (audit.x + 20 - x) * scale, box.y + box.height / 2 + (audit.y + 18 - y) * scale);
  await view.getByRole("region", { name: "task audit" }).waitFor();
  await view.getByRole("combobox", { name: "Show" }).selectOption("up");
  await view.waitForFunction(() => location.hash.includes("only=up"));
  await view.locator("canvas").focus();
  await view.keyboard.press("h");
  await view.getByRole("region", { name: "task extract" }).waitFor();
  for (const format of ["svg", "dot"]) {
    const link = view.getByRole("link", { name: format.toUpperCase() });
    const answer = await daemon.send("GET", await link.getAttribute("href"));
    assert.equal(answer.status, 200);
    assert.match(await answer.text(), format === "svg" ? /^<\?xml|^<svg/ : /^digraph/);
  }
});

test("failed only: what did not fail stands back", async () => {
  const run = await daemon.execute("mixed again", mixed);
  const view = await page(`#/run/${run.runId}?view=graph&task=-`);
  await until("the graph is drawn", async () => (await drawn(view)) > 1000);
  await view.getByRole("button", { name: "Fit" }).click();
  await until("the place is in the address", async () => /place=/.test(view.url()));
  const [x, y, scale] = /place=([^&]*)/.exec(view.url())[1].split("%2C").map(Number);
  const { nodes } = await daemon.get(`api/v1/dags/${run.dagId}/graph`);
  // How much stands out in the upper left of a task's box.
  const ink = (taskId) => {
    const node = nodes.find((node) => node.taskId === taskId);
    return view.locator("canvas").evaluate((canvas, [dx, dy, size]) => {
      const ratio = canvas.width / canvas.clientWidth;
      const { data } = canvas.getContext("2d").getImageData(canvas.width / 2 + dx * ratio, canvas.height / 2 + dy * ratio, size * ratio, size * ratio);
      const light = [];
      for (let i = 0; i < data.length; i += 4) light.push(data[i] + data[i + 1] + data[i + 2]);
      const mean = light.reduce((a, b) => a + b, 0) / light.length;
      return light.reduce((sum, value) => sum + Math.abs(value - mean), 0);
    }, [(node.x - x) * scale, (node.y - y) * scale, 24 * scale]);
  };
  const before = { load: await ink("load"), audit: await ink("audit") };
  await view.getByRole("combobox", { name: "Show" }).selectOption("failed");
  await view.waitForFunction(() => location.hash.includes("only=failed"));
  await until("the others stand back", async () => (await ink("audit")) < before.audit * 0.7);
  assert.ok((await ink("load")) > before.load * 0.8);
});

// Of few tasks that do not fit, a graph shows those it begins with.
test("a graph is drawn where it stays, and again there after a reload", async () => {
  const run = await daemon.execute("mixed, narrow", mixed);
  const view = await (await open({ viewport: { width: 390, height: 844 } })).newPage();
  await view.addInitScript(() => {
    globalThis.scales = new Set();
    new MutationObserver((changes) => { for (const { target } of changes) globalThis.scales.add(target.dataset.scale); })
      .observe(document, { subtree: true, attributes: true, attributeFilter: ["data-scale"] });
  });
  // At which scales it was drawn since the page was loaded, until it was whole and its critical path there.
  const drawnAt = async () => {
    await until("the graph is drawn", async () => (await drawn(view)) > 1000);
    await view.getByText("critical path:").waitFor();
    await view.locator("canvas[data-scale]:not([aria-busy])").waitFor();
    return view.evaluate(() => [...globalThis.scales]);
  };
  await view.goto(`${daemon.origin}/#/run/${run.runId}?view=graph&task=-&only=failed`);
  const first = await drawnAt();
  assert.equal(first.length, 1, `at one scale, not at ${first}`);
  await view.reload();
  assert.deepEqual(await drawnAt(), first);
  await view.getByRole("button", { name: "Fit" }).click();
  await until("the place is in the address", async () => /place=/.test(view.url()));
  const fitted = (await drawnAt()).at(-1);
  assert.notEqual(fitted, first[0]);
  await view.reload();
  const [again, ...more] = await drawnAt();
  assert.ok(Math.abs(again - fitted) < 0.001 && more.length === 0);
});

for (const name of ["v1-montage-2mass-01d", "v7-montage-dss-15d", "v8-llvm13-clang-build"]) {
  test(`${name}: run live, drawn, found`, async (context) => {
    const yaml = workload(name);
    if (!yaml) return context.skip("the recorded workflows are not there");
    const dagId = await daemon.create(name, yaml);
    const view = await page(`#/dag/${dagId}?tab=graph`);
    await until("the DAG is drawn", async () => (await drawn(view)) > 1000);
    await view.goto(`${daemon.origin}/#/runs`);
    const runId = await daemon.trigger(dagId);
    await rows(view, "runs").filter({ hasText: name }).click();
    await view.getByRole("link", { name: "Graph" }).click();
    await until("the run is drawn", async () => (await drawn(view)) > 1000);
    await view.getByRole("heading", { level: 1 }).getByText("succeeded").waitFor();
    const run = await daemon.get(`api/v1/runs/${runId}`);
    await view.getByRole("group", { name: "tasks by state" }).getByRole("button", { name: `succeeded ${run.tasks.length}` }).waitFor();
    await view.getByRole("link", { name: "Table" }).click();
    const last = run.tasks[run.tasks.length - 1];
    await view.getByRole("searchbox", { name: "find a task" }).fill(last.taskId);
    await rows(view, "tasks").filter({ hasText: last.name }).first().click();
    await view.getByRole("region", { name: `task ${last.taskId}`, exact: true }).waitFor();
  });
}
