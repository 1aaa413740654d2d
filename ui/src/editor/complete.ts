// What may stand at a place of a DAG file: keys and values from its JSON Schema, task ids where dependencies are named.
// The place is found by indentation alone, so that it works in a file that is not valid yet.

export interface Schema {
  $ref?: string;
  description?: string;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  items?: Schema;
  enum?: unknown[];
  const?: unknown;
  type?: string | string[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  definitions?: Record<string, Schema>;
  $defs?: Record<string, Schema>;
}

export interface Choice {
  text: string;
  kind: "key" | "value" | "task";
  says: string;
}

export interface Choices {
  from: number; // offset in the text where what is replaced begins
  choices: Choice[];
}

interface Place {
  indent: number;
  dash: number; // where the list's dash is; -1 without
  key: string;
}

function placeOf(line: string): Place | null {
  const found = /^(\s*)((?:- +)*)(?:["']?([\w-]+)["']?\s*:(?:\s|$))?/.exec(line)!;
  if (/^\s*(#|$)/.test(line)) return null;
  const dash = found[2] ? found[1]!.length : -1;
  return { indent: found[1]!.length + found[2]!.length, dash, key: found[3] ?? "" };
}

// The keys from the root to the mapping that a key at `indent` of the line belongs to; "[]" is an item of a list.
export function pathTo(lines: string[], at: number, indent: number, dash: number): string[] {
  const path: string[] = [];
  let limit = indent, isItem = false;
  if (dash >= 0) {
    path.unshift("[]");
    limit = dash;
    isItem = true;
  }
  for (let i = at - 1; i >= 0 && (limit > 0 || isItem); i--) {
    const place = placeOf(lines[i]!);
    if (!place) continue;
    if (place.dash >= 0 && place.indent === limit && place.dash < limit && !isItem) {
      path.unshift("[]");
      limit = place.dash;
      isItem = true;
      continue;
    }
    const isParent = isItem ? place.dash < 0 ? place.indent <= limit : place.indent <= limit && place.dash < limit : place.indent < limit;
    if (!isParent || !place.key) continue;
    path.unshift(place.key);
    limit = place.indent;
    isItem = false;
    if (place.dash >= 0) {
      path.unshift("[]");
      limit = place.dash;
      isItem = true;
    }
  }
  return path;
}

// All that a schema may mean: references followed, alternatives side by side.
function meanings(root: Schema, schema: Schema | undefined, depth = 0): Schema[] {
  if (!schema || depth > 10) return [];
  if (schema.$ref) {
    const target = schema.$ref.replace(/^#\//, "").split("/").reduce<any>((at, name) => at?.[name], root);
    return [...meanings(root, target, depth + 1), ...(schema.description ? [{ description: schema.description }] : [])];
  }
  return [schema, ...[...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])].flatMap((one) => meanings(root, one, depth + 1))];
}

export function schemasAt(root: Schema, path: string[]): Schema[] {
  let now = meanings(root, root);
  for (const step of path) {
    now = now.flatMap((schema) => {
      const next = step === "[]" ? schema.items : schema.properties?.[step] ?? (typeof schema.additionalProperties === "object" ? schema.additionalProperties : undefined);
      return meanings(root, next);
    });
  }
  return now;
}

function keysAt(root: Schema, path: string[], used: Set<string>): Choice[] {
  const found = new Map<string, Choice>();
  for (const schema of schemasAt(root, path)) {
    for (const [name, property] of Object.entries(schema.properties ?? {})) {
      if (!used.has(name) && !found.has(name)) found.set(name, { text: name, kind: "key", says: meanings(root, property).find((one) => one.description)?.description ?? "" });
    }
  }
  return [...found.values()];
}

function valuesAt(root: Schema, path: string[]): Choice[] {
  const out = new Set<string>();
  for (const schema of schemasAt(root, path)) {
    for (const value of schema.enum ?? (schema.const !== undefined ? [schema.const] : [])) out.add(String(value));
    if (schema.type === "boolean") ["true", "false"].forEach((value) => out.add(value));
  }
  return [...out].map((text): Choice => ({ text, kind: "value", says: "" }));
}

function siblings(lines: string[], at: number, indent: number): Set<string> {
  const used = new Set<string>();
  const collect = (step: number) => {
    for (let i = at + step; i >= 0 && i < lines.length; i += step) {
      const place = placeOf(lines[i]!);
      if (!place) continue;
      if (place.indent < indent) return;
      if (place.indent === indent && (step < 0 || place.dash < 0)) used.add(place.key);
      if (place.indent === indent && place.dash >= 0) return;
    }
  };
  if (placeOf(lines[at]!)?.dash === -1 || !placeOf(lines[at]!)) collect(-1);
  collect(1);
  return used;
}

function taskIds(text: string): Choice[] {
  return [...text.matchAll(/^\s*(?:- +)?id:\s*["']?([^"'\n#]+?)["']?\s*$/gm)].map((found): Choice => ({ text: found[1]!, kind: "task", says: "task" }));
}

export function choicesAt(text: string, offset: number, schema: Schema): Choices | null {
  const before = text.slice(0, offset);
  const at = before.split("\n").length - 1;
  const lines = text.split("\n");
  const line = before.slice(before.lastIndexOf("\n") + 1);
  if (/#/.test(line.replace(/(["']).*?\1/g, ""))) return null;
  const typed = /[\w./-]*$/.exec(line)![0];
  const from = offset - typed.length;
  if (/\bdependencies:\s*\[[^\]]*$/.test(line)) return { from, choices: taskIds(text) };
  const shape = /^(\s*)((?:- +)*)([\w-]+)?(:\s+)?/.exec(line)!;
  const indent = shape[1]!.length + shape[2]!.length, dash = shape[2] ? shape[1]!.length : -1;
  if (shape[4] && shape[3]) return { from, choices: valuesAt(schema, [...pathTo(lines, at, indent, dash), shape[3]]) };
  if (!/^\s*(- +)*[\w-]*$/.test(line)) return null;
  const path = pathTo(lines, at, indent, dash);
  if (path[path.length - 2] === "dependencies") return { from, choices: taskIds(text) };
  return { from, choices: keysAt(schema, path, siblings(lines, at, indent)) };
}
