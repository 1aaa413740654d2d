// Who may come in, from where, and whether everybody can read it.
import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import { createRequire } from "node:module";
import { test } from "node:test";
import { mixed, read, rows, world } from "./world.mjs";

const { daemon, watched, page, open } = await world(["--require-token", "--base-path", "/left/in/front"]);
const admin = daemon.token("admin").token, viewer = daemon.token("viewer").token;
const axe = read(createRequire(import.meta.url).resolve("axe-core/axe.min.js"));

const as = (token) => ({ Authorization: `Bearer ${token}` });
const json = async (answer) => { assert.equal(answer.ok, true, String(answer.status)); return answer.json(); };
const dag = await json(await daemon.send("POST", "api/v1/dags", { name: "mixed", yaml: mixed }, as(admin)));
const { runId } = await json(await daemon.send("POST", `api/v1/dags/${dag.id}/runs`, {}, as(admin)));
await (await daemon.send("GET", `api/v1/runs/${runId}/events`, undefined, as(admin))).text();

async function signIn(view, token) {
  await view.getByLabel("Token").fill(token);
  await view.getByRole("button", { name: "Sign in" }).click();
}

test("nobody sees anything before signing in, and a wrong token says so", async () => {
  watched.allow(/status of 401/);
  const view = await page("#/runs");
  await signIn(view, "pawl_wrong");
  await view.getByRole("alert").getByText("not known here").waitFor();
  assert.equal(await view.getByText("mixed").count(), 0);
  await signIn(view, admin);
  await rows(view, "runs").filter({ hasText: "mixed" }).waitFor();
  await view.getByRole("banner").getByText("live").waitFor();
  assert.equal(await view.evaluate((secret) => JSON.stringify([localStorage, sessionStorage, document.cookie]).includes(secret), admin), false);
  await view.reload();
  await rows(view, "runs").filter({ hasText: "mixed" }).waitFor();
  await view.getByRole("button", { name: "Sign out" }).click();
  await view.getByRole("heading", { name: "Sign in" }).waitFor();
});

test("a viewer is offered nothing that would be refused", async () => {
  watched.allow(/status of 401/);
  const view = await page(`#/run/${runId}`);
  await signIn(view, viewer);
  await view.getByRole("log").getByText("about to fail").waitFor();
  for (const place of [`run/${runId}`, "runs?state=failed", "dags", `dag/${dag.id}`, "letters", "workers", "system"]) {
    await view.goto(`${daemon.origin}/#/${place}`);
    await view.getByRole("heading", { level: 1 }).waitFor();
    assert.equal(await view.getByRole("button", { name: /Rerun|Run now|Cancel|Pause|Delete|Retry|Resolve|Drain/ }).count(), 0, place);
  }
  await view.goto(`${daemon.origin}/#/system?tab=settings`);
  await view.getByRole("region", { name: "health" }).waitFor();
  assert.equal(await view.getByText("Settings").count(), 0);
  await view.goto(`${daemon.origin}/#/dag/${dag.id}?tab=source`);
  await view.getByText("read only").waitFor();
});

// A proxy that serves the UI below a folder, and takes the folder away or does not.
async function proxied(prefix, takes) {
  const server = createServer((ask, answer) => {
    if (!ask.url.startsWith(prefix)) return void answer.writeHead(404).end();
    const { host, origin, ...headers } = ask.headers;
    const to = request(daemon.origin + ask.url.slice(takes ? prefix.length : 0), { method: ask.method, headers: { ...headers, host: new URL(daemon.origin).host } }, (from) => {
      answer.writeHead(from.statusCode, from.headers);
      from.pipe(answer);
    });
    to.on("error", () => answer.destroy());
    answer.on("close", () => to.destroy());
    ask.pipe(to);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, origin: `http://127.0.0.1:${server.address().port}` };
}

for (const [prefix, takes] of [["/deep/pawl", true], ["/left/in/front", false]]) test(`below a path prefix that a proxy ${takes ? "takes off" : "leaves"} everything works, sign-in too`, async () => {
  watched.allow(/status of 401/);
  const { server, origin } = await proxied(prefix, takes);
  watched.origins.add(origin);
  const view = await (await open()).newPage();
  const outside = [];
  view.on("request", (one) => { if (new URL(one.url()).pathname !== prefix && !new URL(one.url()).pathname.startsWith(`${prefix}/`)) outside.push(one.url()); });
  await view.goto(`${origin}${prefix}${takes ? "/" : ""}`); // without the slash the daemon names the page that has it
  await signIn(view, admin);
  await rows(view, "runs").filter({ hasText: "mixed" }).click();
  await view.getByRole("log").getByText("about to fail").waitFor();
  await view.getByRole("banner").getByText("live").waitFor();
  for (const place of ["dags", "new", "schedule", "system"]) {
    await view.goto(`${origin}${prefix}/#/${place}`);
    await view.getByRole("heading", { level: 1 }).waitFor();
  }
  assert.deepEqual(outside, []);
  await view.close();
  server.closeAllConnections();
  server.close();
});

const places = () => [
  "runs", "runs?state=failed&range=own", `run/${runId}`, `run/${runId}?view=table`, `run/${runId}?view=graph`, "dags", `dag/${dag.id}`, `dag/${dag.id}?tab=graph`,
  `dag/${dag.id}?tab=history`, `dag/${dag.id}?tab=versions`, `dag/${dag.id}?tab=source`, "letters", "schedule?expr=0+2+*+*+*", "workers", "system", "system?tab=settings", "new",
];

for (const scheme of ["light", "dark"]) for (const width of [1360, 390]) {
  test(`everything is accessible, ${scheme} and ${width} wide`, async () => {
    watched.allow(/status of 401/);
    const context = await open({ colorScheme: scheme, viewport: { width, height: 860 }, bypassCSP: true });
    const view = await context.newPage();
    await view.goto(daemon.origin);
    await view.getByLabel("Token").waitFor();
    await view.evaluate(axe);
    const found = [];
    const check = async (place) => {
      const { violations } = await view.evaluate(() => axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
      for (const { id, nodes } of violations) for (const { html, failureSummary } of nodes) found.push(`${place}: ${id}: ${html.slice(0, 200)} ${failureSummary.slice(0, 300)}`);
    };
    await check("sign in");
    await signIn(view, admin);
    for (const place of places()) {
      await view.goto(`${daemon.origin}/#/${place}`);
      await view.getByRole("heading", { level: 1 }).waitFor();
      await view.waitForFunction(() => !document.querySelector("[aria-busy=true]"));
      await view.keyboard.press("?");
      await check(place);
      await view.keyboard.press("Escape");
      const overflow = await view.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (overflow > 0) found.push(`${place} is ${overflow} pixels too wide`);
    }
    assert.deepEqual(found, []);
  });
}
