// A module of src for tests, without a browser: what it asks of one at its start is here.
import { build } from "esbuild";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const nothing = () => undefined;
globalThis.location ??= { hash: "", hostname: "localhost" };
globalThis.document ??= { addEventListener: nothing, baseURI: "http://localhost/", hidden: true };
globalThis.addEventListener ??= nothing;
globalThis.self ??= globalThis;
globalThis.navigator ??= {};
globalThis.requestAnimationFrame ??= setImmediate;
const repeat = setInterval;
globalThis.setInterval = (...given) => repeat(...given).unref(); // a page's clock does not keep a test alive

export async function load(path) {
  const folder = mkdtempSync(join(tmpdir(), "pawl-ui-"));
  const out = join(folder, "module.mjs");
  await build({ entryPoints: [join(import.meta.dirname, "../src", path)], outfile: out, bundle: true, format: "esm", jsx: "automatic", jsxImportSource: "preact", logLevel: "error", nodePaths: [join(import.meta.dirname, "../node_modules")] });
  try {
    return await import(pathToFileURL(out));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
