// What the UI weighs on the wire, and whether that is little enough:  node sizes.mjs [FOLDER]
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const CORE_MAX = 45_000; // what every page loads
const ALL_MAX = 160_000; // with the editor

const folder = process.argv[2] ?? "dist";
const sizes = new Map(readdirSync(folder).map((name) => [name, gzipSync(readFileSync(`${folder}/${name}`), { level: 9 }).length]));
const page = readFileSync(`${folder}/index.html`, "utf8");
const sum = (names) => names.reduce((total, name) => total + sizes.get(name), 0);
const core = sum([...sizes.keys()].filter((name) => name === "index.html" || page.includes(`ui/${name}`)));
const all = sum([...sizes.keys()]);

for (const [name, size] of sizes) console.log(`${String(size).padStart(7)} ${name}`);
console.log(`core ${core} of ${CORE_MAX}, all ${all} of ${ALL_MAX} bytes, gzipped`);
if (core > CORE_MAX || all > ALL_MAX) {
  console.error("the UI is too large");
  process.exit(1);
}
