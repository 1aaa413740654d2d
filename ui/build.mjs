// Builds ui/dist: one page, one script, one style sheet, the last two named by their content.
import { build } from "esbuild";
import { createHash } from "node:crypto";
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

let page = readFileSync("src/index.html", "utf8");
for (const file of result.outputFiles) {
  const kind = file.path.endsWith(".css") ? "css" : "js";
  const hash = createHash("sha256").update(file.contents).digest("hex").slice(0, 12);
  const name = `app.${hash}.${kind}`;
  writeFileSync(`${out}/${name}`, file.contents);
  page = page.replace(`{{${kind}}}`, name);
}
writeFileSync(`${out}/index.html`, page);
