// Builds ui/dist, or another folder:  node build.mjs [FOLDER]
// One page; scripts and styles under names that hold their hash, so that they may be kept for ever. The editor is a
// script of its own, which is loaded when an editor is opened.
import { build } from "esbuild";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename } from "node:path";

const out = process.argv[2] ?? "dist";
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });

const result = await build({
  entryPoints: { app: "src/main.tsx" },
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  minify: true,
  metafile: true,
  outdir: out,
  target: ["es2022"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  charset: "utf8",
});

// What the page needs at once is named in it: the scripts that the first one imports need not be found out first.
const outputs = Object.entries(result.metafile.outputs).map(([path, made]) => ({ ...made, name: basename(path) }));
const script = outputs.find(({ name }) => /^app-.*\.js$/.test(name));
const style = outputs.find(({ name }) => /^app-.*\.css$/.test(name));
const preloads = script.imports.filter(({ kind }) => kind === "import-statement")
  .map(({ path }) => `<link rel="modulepreload" href="ui/${basename(path)}">\n`).join("");
// The header stands in the page as the first script will draw it, so that the first paint waits for no script.
const page = readFileSync("src/index.html", "utf8")
  .replace("ui/app.css", `ui/${style.name}`)
  .replace(/(?=<script)/, preloads)
  .replace("ui/app.js", `ui/${script.name}`);
writeFileSync(`${out}/index.html`, page);
writeFileSync(`${out}/icon.svg`, readFileSync("src/icon.svg"));
