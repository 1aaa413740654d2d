// Parts of the UI that need no browser.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { load } from "./load.mjs";

const { Blocks, messageIn, lastIdIn } = await load("core/stream.ts");
const { Hearing } = await load("core/hearing.ts");
const { quoted } = await load("core/shell.ts");
const { diffLines, withContext } = await load("core/diff.ts");
const { pieces, lastWritten } = await load("log/ansi.ts");
const { linesOf } = await load("log/file.ts");
const { choicesAt } = await load("editor/complete.ts");
const { tokensOf } = await load("editor/tokens.ts");
const { planOf, reach } = await load("graph/plan.ts");
const { readFilter, apiFilter, matches } = await load("runs/filter.ts");
const { merge } = await load("runs/merge.ts");
const { parse } = await load("core/route.ts");

test("a stream's messages do not depend on how it is cut", () => {
  const text = "id: 1-1\nevent: run\ndata: {\"a\": 1}\n\n: comment\n\nid: 1-2\nevent: task\ndata: x\ndata: y\n\n";
  for (let size = 1; size < text.length; size++) {
    const found = [], blocks = new Blocks();
    let told = "";
    for (let at = 0; at < text.length; at += size) {
      blocks.add(text.slice(at, at + size));
      told += blocks.take().join("");
    }
    for (let at = 0, end; (end = told.indexOf("\n\n", at)) >= 0; at = end + 2) found.push(messageIn(told, at, end));
    assert.equal(lastIdIn(told), "1-2");
    assert.deepEqual(found, [{ name: "run", id: "1-1", text: "{\"a\": 1}" }, null, { name: "task", id: "1-2", text: "x\ny" }]);
  }
});

test("what is heard is told in order, of a task the last word only, and in slices", () => {
  const told = [];
  const hearing = new Hearing((message) => message.name !== "worker", (message) => told.push(message.text));
  const say = (name, text) => hearing.add(`id: 1\nevent: ${name}\ndata: ${text}\n\n`);
  const task = (id, state) => say("task", `{"runId":"r","taskId":${JSON.stringify(id)},"state":"${state}"}`);
  task("a", "running");
  task('b"', "running");
  say("worker", "{}");
  say("run", "{}");
  task("a", "succeeded");
  task('b"', "failed");
  while (!hearing.work(1000));
  assert.deepEqual(told, ["{}", '{"runId":"r","taskId":"a","state":"succeeded"}', '{"runId":"r","taskId":"b\\"","state":"failed"}']);
  for (let i = 0; i < 20000; i++) task(`t${i}`, "running");
  assert.equal(hearing.work(1), false);
  while (!hearing.work(1));
  assert.equal(told.length, 20003);
});

test("what is copied into a shell is one word, whatever it holds", () => {
  for (const text of ["plain", "a b", "$(touch /tmp/x)", "it's", "`id`", "a;b|c&d", "\"", "*", "~", "-n", "#", "!x", "é", "\\", "''"]) {
    assert.equal(execFileSync("sh", ["-c", `printf %s ${quoted(text)}`], { encoding: "utf8" }), text === "-n" ? "-n" : text);
  }
});

test("a difference leads from one text to the other", () => {
  let seed = 7;
  const random = (n) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
  for (let round = 0; round < 300; round++) {
    const text = () => Array.from({ length: random(12) }, () => "abcd"[random(4)]).join("\n");
    const before = text(), after = text();
    const lines = diffLines(before, after);
    assert.equal(lines.filter((line) => line.kind !== "new").map((line) => line.text).join("\n"), before);
    assert.equal(lines.filter((line) => line.kind !== "gone").map((line) => line.text).join("\n"), after);
  }
  assert.deepEqual(diffLines("a\nb\nc", "a\nx\nc").map((line) => line.kind), ["same", "gone", "new", "same"]);
  assert.equal(withContext(diffLines("x\n".repeat(50), `${"x\n".repeat(50)}y`)).filter(Boolean).length < 10, true);
});

test("colours of a log are shown and other sequences are dropped", () => {
  assert.deepEqual(pieces("\x1b[1;31mred\x1b[0m plain"), [
    { text: "red", classes: "b f1", colour: undefined, background: undefined },
    { text: " plain", classes: "", colour: undefined, background: undefined },
  ]);
  assert.equal(pieces("\x1b[38;5;196mx")[0].colour, "rgb(255 0 0)");
  assert.equal(pieces("\x1b[48;2;1;2;300mx")[0].background, "rgb(1 2 255)");
  assert.equal(pieces("a\x1b[2Kb\x1b]8;;http://x\x07c\x07").map((piece) => piece.text).join(""), "abc");
  assert.equal(lastWritten("10 %\r50 %\r100 %"), "100 %");
  assert.equal(lastWritten("windows\r"), "windows");
});

test("lines of a log are named by the byte they begin at", () => {
  const bytes = new TextEncoder().encode("é\n\nlast");
  assert.deepEqual(linesOf(bytes, 100), [{ at: 100, text: "é" }, { at: 103, text: "" }, { at: 104, text: "last" }]);
});

const schema = {
  properties: {
    name: { description: "its name" }, retry: { $ref: "#/definitions/retry" },
    tasks: { items: { properties: { id: {}, type: { enum: ["shell", "http", "python"] }, dependencies: { items: {} }, retry: { $ref: "#/definitions/retry" } } } },
  },
  definitions: { retry: { properties: { maxAttempts: {}, backoff: { enum: ["fixed", "exponential"] } } } },
};

function choices(text) {
  const at = text.indexOf("|");
  return choicesAt(text.replace("|", ""), at, schema)?.choices.map((choice) => choice.text);
}

test("completion knows the place by its indentation", () => {
  assert.deepEqual(choices("|"), ["name", "retry", "tasks"]);
  assert.deepEqual(choices("name: x\nretry:\n  |"), ["maxAttempts", "backoff"]);
  assert.deepEqual(choices("retry:\n  backoff: |"), ["fixed", "exponential"]);
  assert.deepEqual(choices("name: x\ntasks:\n  - id: a\n    ty|"), ["type", "dependencies", "retry"]);
  assert.deepEqual(choices("tasks:\n- id: a\n  |"), ["type", "dependencies", "retry"]);
  assert.deepEqual(choices("tasks:\n  - |"), ["id", "type", "dependencies", "retry"]);
  assert.deepEqual(choices("tasks:\n  - id: a\n    retry:\n      |"), ["maxAttempts", "backoff"]);
  assert.deepEqual(choices("tasks:\n  - id: a\n    type: |"), ["shell", "http", "python"]);
  assert.deepEqual(choices("tasks:\n  - id: a\n  - id: b\n    dependencies: [a, |"), ["a", "b"]);
  assert.deepEqual(choices("tasks:\n  - id: a\n  - id: b\n    dependencies:\n      - |"), ["a", "b"]);
  assert.equal(choices("name: x # |"), undefined);
});

test("YAML is coloured by its tokens", () => {
  const kinds = (line) => tokensOf(line).map(({ from, to, kind }) => `${kind}=${line.slice(from, to).trim()}`);
  assert.deepEqual(kinds("  - id: a # b"), ["sign=-", "key=id", "sign=:", "comment=# b"]);
  assert.deepEqual(kinds("timeout: 5m"), ["key=timeout", "sign=:", "atom=5m"]);
  assert.deepEqual(kinds("command: \"a: #b\""), ["key=command", "sign=:", "string=\"a: #b\""]);
  assert.deepEqual(kinds("url: http://x#y"), ["key=url", "sign=:"]);
});

test("a graph can be walked both ways", () => {
  const node = (taskId, x) => ({ taskId, name: taskId, type: "shell", layer: 0, x, y: 0 });
  const plan = planOf({ taskCount: 4, edgeCount: 3, collapsed: false, width: 900, height: 36, nodeWidth: 160, nodeHeight: 36, nodes: [node("a", 0), node("b", 200), node("c", 400), node("d", 600)], edges: [[0, 1], [1, 2, 380, 5], [0, 3]] });
  assert.deepEqual([...reach(plan.feeds, 1)].sort(), [1, 2]);
  assert.deepEqual([...reach(plan.needs, 2)].sort(), [0, 1, 2]);
  assert.deepEqual(plan.edges[1].points, [360, 18, 380, 5, 400, 18]);
});

test("a graph too large for boxes comes as groups", () => {
  const plan = planOf({ taskCount: 90000, edgeCount: 1, collapsed: true, width: 400, height: 80, nodeWidth: 160, nodeHeight: 36, nodes: null, edges: null,
    groups: [{ layer: 0, taskCount: 1, x: 0, y: 0, width: 160, height: 40, firstTaskId: "first" }, { layer: 1, taskCount: 89999, x: 220, y: 0, width: 160, height: 80, firstTaskId: "t" }], groupEdges: [[0, 1, 89999]] });
  assert.deepEqual(plan.names, ["first", "89999 tasks"]);
  assert.deepEqual(plan.edges[0].points, [160, 20, 220, 40]);
});

test("a filter says the same to the server and of an event", () => {
  const now = Date.parse("2026-01-02T12:00:30Z");
  const filter = readFilter(new URLSearchParams("state=failed,canceled&by=schedule&range=1h&q=Exit"));
  assert.deepEqual(apiFilter(filter, now), { state: "failed,canceled", triggeredBy: "schedule", createdAfter: "2026-01-02T11:00:00Z", error: "Exit" });
  const run = { runId: "1", state: "failed", dagId: "d", triggeredBy: "schedule", createdAt: "2026-01-02T11:30:00Z", error: "exit status 1" };
  assert.equal(matches(filter, run, now), true);
  for (const other of [{ state: "running" }, { triggeredBy: "api" }, { createdAt: "2026-01-02T10:59:00Z" }, { error: null }]) assert.equal(matches(filter, { ...run, ...other }, now), false);
});

test("what happens is merged into the list", () => {
  const run = (runId, state) => ({ runId, state });
  const known = [run("5", "running"), run("3", "failed")];
  const changed = new Map([["5", run("5", "succeeded")], ["6", run("6", "failed")], ["1", run("1", "failed")]]);
  assert.deepEqual(merge(known, changed, () => true).map(({ runId, state }) => `${runId} ${state}`), ["6 failed", "5 succeeded", "3 failed"]);
  assert.deepEqual(merge(known, changed, (one) => one.state === "failed").map(({ runId }) => runId), ["6", "3"]);
});

test("an address is what is shown", () => {
  assert.deepEqual(parse("#/run/a%2Fb?task=x%26y").path, ["run", "a/b"]);
  assert.equal(parse("#/run/a?task=x%26y%3Fz").query.get("task"), "x&y?z");
  assert.deepEqual(parse("#/run/%zz").path, ["run", "%zz"]);
});

// Each act that asks first is either of one thing that is named with a 1, or counts what it hits; bulk acts ask the
// server, which counts (tests/ui: letters, views).
test("whatever is destructive names its count", () => {
  const files = execFileSync("grep", ["-rl", "<Confirm ", new URL("../src", import.meta.url).pathname], { encoding: "utf8" });
  const questions = files.trim().split("\n").flatMap((file) =>
    [...readFileSync(file, "utf8").matchAll(/<Confirm [^]*?question=\{(`[^`]*`)/g)].map((found) => found[1]));
  assert.ok(questions.length >= 4);
  for (const question of questions) assert.match(question, /\b1 (DAG|worker)\b|\$\{count\(/);
  const danger = execFileSync("grep", ["-rc", 'class="danger"', new URL("../src", import.meta.url).pathname], { encoding: "utf8" })
    .trim().split("\n").filter((line) => !line.endsWith(":0")).map((line) => line.replace(/.*src\//, ""));
  assert.deepEqual(danger.sort(), ["parts/parts.tsx:1", "views/letters.tsx:1", "views/runs.tsx:1"], "each of these asks with a count");
});
