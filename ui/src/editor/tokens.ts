// The tokens of a line of YAML: enough to colour a DAG file, and a tenth of a parser.

export interface Token {
  from: number;
  to: number;
  kind: "key" | "string" | "atom" | "comment" | "sign" | "anchor";
}

const key = /^(\s*)((?:- +)*)((?:"[^"]*"|'[^']*'|[^\s#:'"[\]{},&*!|>%@`-][^#:]*?|-[^\s:][^#:]*?))(\s*:)(?=\s|$)/;
const rest = /(#.*$)|((?<=[{,]\s*)[\w-]+(?=:\s))|("(?:[^"\\]|\\.)*"?|'(?:[^']|'')*'?)|((?:^|(?<=[\s[,]))(?:true|false|null|~|-?\d+(?:\.\d+)?(?:ms|[smhd])?)(?=[\s,\]}]|$))|([&*][\w-]+)|([[\]{},]|(?:^|(?<=\s))[|>][+-]?\d?(?=\s*$))/g;

export function tokensOf(line: string): Token[] {
  const out: Token[] = [];
  const put = (from: number, text: string | undefined, kind: Token["kind"]) => { if (text) out.push({ from, to: from + text.length, kind }); };
  const head = key.exec(line);
  let at = 0;
  if (head) {
    const start = head[1]!.length + head[2]!.length;
    put(head[1]!.length, head[2], "sign");
    put(start, head[3], "key");
    put(start + head[3]!.length, head[4], "sign");
    at = head[0].length;
  } else {
    const dash = /^(\s*)((?:- +)+|-$)/.exec(line);
    if (dash) put(dash[1]!.length, dash[2], "sign");
    at = dash?.[0].length ?? 0;
  }
  for (const found of line.slice(at).matchAll(rest)) {
    if (found[1] && found.index > 0 && !/\s/.test(line[at + found.index - 1]!)) continue; // no comment without a space before it
    const kinds: Token["kind"][] = ["comment", "key", "string", "atom", "anchor", "sign"];
    put(at + found.index, found[0], kinds[found.slice(1).findIndex(Boolean)]!);
  }
  return out;
}
