// What every test file has: a daemon, a browser, and at the end the word that nothing went wrong on the side.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { closeSync, constants, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, afterEach } from "node:test";
import { Watched, launch } from "./browser.mjs";
import { Daemon, PATIENCE_MS, source } from "./daemon.mjs";

export async function world(options = []) {
  const daemon = await new Daemon(options).start();
  const browser = await launch();
  const watched = new Watched(daemon.origin);
  const contexts = [];
  const open = async (settings) => {
    const context = await watched.open(browser, settings);
    contexts.push(context);
    return context;
  };
  afterEach(async () => {
    while (contexts.length) await contexts.pop().close();
    assert.deepEqual(watched.take(), [], "what the pages did on the side");
  });
  after(async () => {
    await browser.close();
    await daemon.close();
  });
  return {
    daemon, watched, open,
    // A page at a place of the UI.
    page: async (place = "", settings) => {
      const page = await (await open(settings)).newPage();
      await page.goto(`${daemon.origin}/${place}`);
      return page;
    },
  };
}

// A task that waits until the test says how it ends.
export class Gate {
  constructor(daemon, name) {
    this.path = join(daemon.folder, name);
    execFileSync("mkfifo", [this.path]);
  }

  // Prints what it is told until the word that ends it: its exit status.
  get command() {
    return `while read -r line; do case $line in end*) exit \${line#end };; esac; echo "$line"; done < ${this.path}`;
  }

  open() {
    this.file ??= openSync(this.path, constants.O_RDWR);
  }

  say(text) {
    this.open();
    writeSync(this.file, `${text}\n`);
  }

  end(status = 0) {
    this.say(`end ${status}`);
    closeSync(this.file);
  }
}

const workloads = join(source, "../shared/workloads");

// A recorded workflow as a DAG file of no-ops; null where they are not there.
export function workload(name) {
  const facts = join(workloads, `${name}.facts.yaml`);
  if (!existsSync(facts)) return null;
  const out = join(mkdtempSync(join(tmpdir(), "pawl-ui-")), "dag.yaml");
  const made = spawnSync("/usr/bin/python3", [join(workloads, "wf2yaml.py"), "dag", facts, "--noop", "-o", out], { encoding: "utf8" });
  if (made.status !== 0) throw new Error(made.stderr);
  const yaml = readFileSync(out, "utf8");
  rmSync(dirname(out), { recursive: true });
  return yaml;
}

export const mixed = `name: mixed
tasks:
  - {id: extract, type: shell, command: "echo read 7 rows"}
  - {id: clean, type: shell, command: "printf 'plain\\\\n\\\\033[31mred\\\\033[0m text\\\\n'", dependencies: [extract]}
  - {id: load, type: shell, command: "echo about to fail; exit 3", dependencies: [clean], retry: {maxAttempts: 2, initialDelay: 10ms}}
  - {id: report, type: shell, command: "echo never", dependencies: [load]}
  - {id: audit, type: shell, command: "seq 1 300", dependencies: [extract]}
`;

export const read = (path) => readFileSync(path, "utf8");

// Until so many are on the page: counted anew with each frame.
export async function hasCount(locator, count) {
  const deadline = Date.now() + PATIENCE_MS;
  let found;
  while ((found = await locator.count()) !== count) {
    if (Date.now() > deadline) throw new Error(`${found} of ${locator}, not ${count}`);
    await locator.page().evaluate(() => new Promise(requestAnimationFrame));
  }
}

// The rows of a list, as text.
export const rows = (page, label) => page.getByRole("table", { name: label }).locator("[data-row]");
