// Builds ui/dist: one page, one script, one style sheet.
import { build } from "esbuild";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";

const out = "dist";
rmSync(out, { recursive: true, force: true });
mkdirSync(out);

const result = await build({
  entryPoints: ["src/main.tsx"],
  bundle: true,
  minify: true,
  write: false,
  outdir: out,
  target: ["es2022"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  charset: "utf8",
});

for (const file of result.outputFiles) {
  writeFileSync(`${out}/app.${file.path.endsWith(".css") ? "css" : "js"}`, file.contents);
}
writeFileSync(`${out}/index.html`, readFileSync("src/index.html"));
