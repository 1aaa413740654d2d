// The editor: what is wrong is shown at its place, what changes is seen before it is saved.
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCount, world } from "./world.mjs";

const { daemon, watched, page } = await world();
const editor = (view) => view.getByRole("textbox", { name: "source of the DAG" });

async function replace(view, text) {
  await editor(view).click();
  await view.keyboard.press("Control+a");
  await view.keyboard.insertText(text);
}

test("errors are shown where they are, all of them", async () => {
  const view = await page("#/new");
  await replace(view, "name: x\ntasks:\n  - id: a\n    type: shel\n    comand: y\n  - id: b\n    type: shell\n    command: z\n    dependencies: [c]\n");
  const problems = view.locator(".problems li.error");
  await problems.getByText("Invalid task type: shel").waitFor();
  await problems.getByText(/did you mean 'command'/i).waitFor();
  await view.locator(".wave-error").nth(1).waitFor();
  assert.equal(await view.getByRole("button", { name: "Create" }).isDisabled(), true);
  await problems.filter({ hasText: "Invalid task type" }).getByRole("button").click();
  await view.keyboard.press("End");
  await view.keyboard.type("l");
  await problems.getByText("Invalid task type").waitFor({ state: "detached" });
});

test("a DAG is made, changed and saved; the change is seen first", async () => {
  const view = await page("#/new");
  await replace(view, "name: edited\ntasks:\n  - id: a\n    type: shell\n    command: \"true\"\n");
  await view.getByRole("img", { name: /Graph of 1 task and 0 dependencies/ }).waitFor();
  await view.getByRole("button", { name: "Create" }).click();
  await view.waitForFunction(() => location.hash.startsWith("#/dag/"));
  await view.getByRole("link", { name: "Source" }).click();
  await editor(view).click();
  await view.keyboard.press("Control+End");
  await view.keyboard.insertText("  - id: b\n    type: shell\n    command: \"true\"\n    dependencies: [a]\n");
  await view.getByRole("img", { name: /Graph of 2 tasks and 1 dependency/ }).waitFor();
  await view.getByRole("button", { name: "Review the change…" }).click();
  await hasCount(view.locator(".diff .new"), 4);
  await view.getByRole("button", { name: "Save as v2" }).click();
  await view.getByText("Saved as v2").waitFor();
  const [dag] = await daemon.get("api/v1/dags?name=edited");
  assert.equal(dag.version, 2);
  assert.equal(dag.taskCount, 2);
});

test("a file without a name is no new DAG, but a version of one that has its name", async () => {
  const nameless = "tasks: [{id: a, type: shell, command: x}]\n";
  const id = await daemon.create("named", nameless);
  const fresh = await page("#/new");
  await replace(fresh, nameless);
  await fresh.locator(".problems").getByText("The file has no name").waitFor();
  assert.equal(await fresh.getByRole("button", { name: "Create" }).isDisabled(), true);
  await replace(fresh, '{"name": "json", "tasks": [{"id": "a", "type": "shell", "command": "x"}]}');
  await fresh.getByRole("button", { name: "Create" }).click();
  await fresh.waitForFunction(() => location.hash.startsWith("#/dag/"));
  const view = await page(`#/dag/${id}?tab=source`);
  await editor(view).click();
  await view.keyboard.press("Control+Home");
  await view.keyboard.insertText("# changed\n");
  await view.getByRole("button", { name: "Review the change…" }).click();
  await view.getByRole("button", { name: "Save as v2" }).click();
  await view.getByText("Saved as v2").waitFor();
});

test("a version that somebody else saved is not overwritten", async () => {
  watched.allow(/status of 412/);
  const id = await daemon.create("shared", "name: shared\ntasks: [{id: a, type: shell, command: x}]\n");
  const view = await page(`#/dag/${id}?tab=source`);
  await editor(view).click();
  await view.keyboard.press("Control+Home");
  await view.keyboard.insertText("# mine\n");
  await view.getByRole("button", { name: "Review the change…" }).click();
  await daemon.send("PUT", `api/v1/dags/${id}`, { yaml: "name: shared\n# theirs\ntasks: [{id: a, type: shell, command: x}]\n" });
  await view.getByRole("button", { name: "Save as v" }).click();
  await view.getByText("Somebody saved another version meanwhile").waitFor();
  assert.match(await (await daemon.send("GET", `api/v1/dags/${id}/source`)).text(), /theirs/);
});

test("the schema completes keys and values", async () => {
  const view = await page("#/new");
  await replace(view, "name: x\ntasks:\n  - id: a\n    ty");
  await view.keyboard.press("Control+Space");
  await view.getByRole("option", { name: "type" }).waitFor();
  await view.keyboard.press("Enter");
  await view.getByRole("option", { name: "type" }).waitFor({ state: "detached" });
  await view.keyboard.press("Control+Space");
  await view.getByRole("option", { name: "python" }).waitFor();
});

test("the keyboard can leave the editor", async () => {
  const view = await page("#/new");
  await editor(view).click();
  await view.keyboard.press("Escape");
  await view.keyboard.press("Tab");
  await view.waitForFunction(() => document.activeElement.shadowRoot === null);
});
