// What a page does when it opens: what it asks for and how often, and what it must not use before its first paint.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

process.env.TZ = "Europe/Berlin";
const { local, at, brief, count, byName } = await load("core/format.ts");
const { send, askAhead } = await load("core/api.ts");
const { RunModel, waitWords } = await load("run/model.ts");
const { fact } = await load("views/system.tsx");

// Answers of a server, given when the test says so.
function serving() {
  const asked = [];
  globalThis.fetch = (path) => new Promise((answer, fail) => asked.push({ path, answer: (body) => answer(new Response(JSON.stringify(body))), fail }));
  return asked;
}
const turn = () => new Promise((go) => setImmediate(go));
const status = (completedAt, state) => ({ runId: "r", completedAt, counts: {}, tasks: [{ taskId: "a", state, attempt: 1 }] });
const ended = status("2026-11-30T03:00:00Z", "succeeded"), active = status(null, "running");

test("dates say their zone, in summer and in winter", () => {
  assert.equal(local("2026-11-30T03:18:21.584Z"), "30 Nov 2026, 04:18:21 UTC+1");
  assert.equal(at("2026-07-01T22:30:00Z"), "02 Jul 2026, 00:30:00 UTC+2 (2026-07-01T22:30:00Z)");
  assert.equal(brief("2026-11-30T03:18:21Z"), "30 Nov 04:18:21");
  for (const [zone, says] of [["UTC", "UTC"], ["Asia/Kolkata", "UTC+5:30"], ["America/St_Johns", "UTC-3:30"], ["America/New_York", "UTC-5"]]) {
    process.env.TZ = zone;
    assert.ok(local("2026-11-30T03:18:21Z").endsWith(`:21 ${says}`), local("2026-11-30T03:18:21Z"));
  }
});

test("numbers are grouped, names are in order", () => {
  assert.deepEqual([0, 1, 999, 1000, 1234567].map((n) => count(n, "task")), ["0 tasks", "1 task", "999 tasks", "1,000 tasks", "1,234,567 tasks"]);
  assert.deepEqual(["b", "A", "a", "B"].sort(byName).map((name) => name.toLowerCase()), ["a", "a", "b", "b"]);
});

test("what was asked ahead is given once", async () => {
  const asked = serving();
  askAhead("api/v1/x");
  const first = send("GET", "api/v1/x"), second = send("GET", "api/v1/x");
  assert.equal(asked.length, 2);
  asked[0].answer({ is: "first" });
  asked[1].answer({ is: "second" });
  assert.deepEqual([await (await first).json(), await (await second).json()], [{ is: "first" }, { is: "second" }]);
  askAhead("api/v1/y");
  asked[2].fail(new TypeError("away"));
  await turn();
  await assert.rejects(send("GET", "api/v1/y"), /cannot be reached/);
});

test("a run that has ended is read once, whatever the stream missed", async () => {
  const asked = serving(), model = new RunModel("r");
  void model.load();
  model.hearReset(); // the stream opened while the answer was on its way
  asked[0].answer(ended);
  await turn();
  assert.equal(model.tasks[0].state, "succeeded");
  model.hearReset();
  await turn();
  assert.equal(asked.length, 1);
});

test("what an active run's answer may lack is read behind it, not instead of it", async () => {
  const asked = serving(), model = new RunModel("r");
  void model.load();
  model.hearReset();
  model.hearReset();
  assert.equal(asked.length, 1);
  asked[0].answer(active);
  await turn();
  assert.equal(model.tasks[0].state, "running"); // it can be seen already
  assert.equal(asked.length, 2);
  asked[1].answer(ended);
  await turn();
  assert.equal(model.tasks[0].state, "succeeded");
  assert.equal(asked.length, 2);
});

test("an end that could not be read is read once the server is back", async () => {
  const asked = serving(), model = new RunModel("r");
  void model.load();
  asked[0].answer(active);
  await turn();
  model.hearRun({ runId: "r", completedAt: "2026-11-30T03:00:00Z" });
  asked[1].fail(new TypeError("away"));
  await turn();
  assert.match(model.error.value.message, /cannot be reached/);
  model.hearReset();
  asked[2].answer(ended);
  await turn();
  assert.equal(model.tasks[0].state, "succeeded");
  assert.equal(model.error.value, null);
});

test("what a wait was for is not said of a task that was tried before", () => {
  assert.equal(waitWords({ attempt: 1 }), "for a slot");
  assert.doesNotMatch(waitWords({ attempt: 2 }), /slot/);
});

test("facts of the daemon are told in words and units", () => {
  const facts = { turnMaxUs: 12554, latencyUs: 49, turnAgeMs: 0, freeBytes: 76e9, bytes: 14e6, draining: false, waitingTasks: 2, kind: "sqlite", since: null };
  assert.deepEqual(Object.entries(facts).map(([key, value]) => fact(key, value).join(": ")),
    ["turn max: 13 ms", "latency: 49 µs", "turn age: 0 ms", "free bytes: 76 GB", "bytes: 14 MB", "draining: no", "waiting tasks: 2", "kind: sqlite", "since: –"]);
});
