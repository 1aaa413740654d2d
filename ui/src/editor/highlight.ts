// Colours for YAML, line by line. Which lines lie in a block scalar is found from the indentation above them.
import { type Extension, RangeSetBuilder } from "@codemirror/state";
import { Decoration, type DecorationSet, type EditorView, ViewPlugin, type ViewUpdate } from "@codemirror/view";
import { tokensOf } from "./tokens";

const opensBlock = /(?:^|\s)[|>][+-]?\d?\s*(?:#.*)?$/;

function indentOf(line: string): number {
  return /^(?:\s*)(?:- +)*/.exec(line)![0].length;
}

// Whether a line is part of a block scalar that a line above it opens.
function isInBlock(view: EditorView, number: number): boolean {
  const line = view.state.doc.line(number).text;
  let indent = line.trim() ? line.search(/\S/) : Infinity;
  for (let n = number - 1; n > 0 && number - n < 500; n--) {
    const above = view.state.doc.line(n).text;
    if (!above.trim()) continue;
    const own = above.search(/\S/);
    if (own >= indent) continue;
    if (opensBlock.test(above)) return indent > own;
    indent = Math.min(indent, own);
    if (indent === 0 || indentOf(above) === 0) return false;
  }
  return false;
}

const styles = Object.fromEntries((["key", "string", "atom", "comment", "sign", "anchor"] as const).map((kind) => [kind, Decoration.mark({ class: `y-${kind}` })]));

function colour(view: EditorView): DecorationSet {
  const builder = new RangeSetBuilder<Decoration>();
  for (const { from, to } of view.visibleRanges) {
    for (let at = from; at <= to; ) {
      const line = view.state.doc.lineAt(at);
      if (line.length < 2000 && !isInBlock(view, line.number)) {
        for (const token of tokensOf(line.text)) builder.add(line.from + token.from, line.from + token.to, styles[token.kind]!);
      }
      at = line.to + 1;
    }
  }
  return builder.finish();
}

export const highlight: Extension = ViewPlugin.fromClass(class {
  marks: DecorationSet;
  constructor(view: EditorView) {
    this.marks = colour(view);
  }
  update(update: ViewUpdate): void {
    if (update.docChanged || update.viewportChanged) this.marks = colour(update.view);
  }
}, { decorations: (own) => own.marks });
