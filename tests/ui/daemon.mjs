// A real daemon on a folder of its own and a port that the kernel picks, and what tests ask of it.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, openSync, closeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { once } from "node:events";

export const PATIENCE_MS = Number(process.env.PAWL_TEST_PATIENCE ?? 60) * 1000;
export const source = resolve(import.meta.dirname, "../..");
export const pawl = resolve(process.env.PAWL ?? join(source, "build/pawl"));

export class Daemon {
  constructor(options = []) {
    this.folder = mkdtempSync(join(tmpdir(), "pawl-ui-"));
    this.data = join(this.folder, "data");
    this.options = options;
    this.listen = "127.0.0.1:0";
  }

  // On a second start it listens where it did before, as a restarted service does.
  async start() {
    this.log = join(this.folder, "serve.log");
    const err = openSync(this.log, "a");
    this.process = spawn(pawl, ["serve", "--data", this.data, "--listen", this.listen, ...this.options], { stdio: ["ignore", "pipe", err], cwd: this.folder });
    closeSync(err);
    const line = await new Promise((found, fail) => {
      let text = "";
      this.process.stdout.on("data", (piece) => { text += piece; if (text.includes("\n")) found(text.split("\n")[0]); });
      this.process.once("exit", () => fail(new Error(`serve ended: ${readFileSync(this.log, "utf8")}`)));
    });
    const address = /^listening on (http:\/\/([^/\s]+))/.exec(line);
    if (!address) throw new Error(`serve says ${line}`);
    [, this.origin, this.listen] = address;
    return this;
  }

  async kill(signal = "SIGKILL") {
    const gone = once(this.process, "exit");
    this.process.kill(signal);
    await gone;
  }

  // Ends everything, whatever the test left.
  async close() {
    if (this.process && this.process.exitCode === null && this.process.signalCode === null) await this.kill("SIGQUIT");
    spawnSync(pawl, ["stop", "--kill", "--data", this.data], { stdio: "ignore" });
    const log = readFileSync(this.log, "utf8");
    rmSync(this.folder, { recursive: true, force: true });
    const bad = /.*(Sanitizer|runtime error:|Assertion).*/.exec(log);
    if (bad) throw new Error(`the daemon complained: ${log.slice(bad.index, bad.index + 3000)}`);
  }

  async send(method, path, body, headers = {}) {
    return fetch(`${this.origin}/${path}`, {
      method,
      headers: { ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  }

  async get(path) {
    const answer = await this.send("GET", path);
    if (!answer.ok) throw new Error(`GET ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  async post(path, body = {}) {
    const answer = await this.send("POST", path, body);
    if (!answer.ok) throw new Error(`POST ${path}: ${answer.status} ${await answer.text()}`);
    return answer.status === 204 ? null : answer.json();
  }

  async create(name, yaml) {
    return (await this.post("api/v1/dags", { name, yaml })).id;
  }

  async trigger(dagId) {
    return (await this.post(`api/v1/dags/${dagId}/runs`)).runId;
  }

  // Its status once it has ended; told by its event stream, not by asking again and again.
  async finished(runId) {
    for (;;) {
      const answer = await this.send("GET", `api/v1/runs/${runId}/events`);
      let text = "";
      for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) text = (text + piece).slice(-100000);
      const run = await this.get(`api/v1/runs/${runId}`);
      if (run.completedAt) return run;
    }
  }

  async execute(name, yaml) {
    return this.finished(await this.trigger(await this.create(name, yaml)));
  }

  token(role) {
    const made = spawnSync(pawl, ["token", "create", "--role", role, "--data", this.data, "-o", "json"], { encoding: "utf8" });
    if (made.status !== 0) throw new Error(made.stderr);
    return JSON.parse(made.stdout);
  }
}
