// What the server says is wrong, at its place: a wave below the text and a mark beside the line.
import { type EditorState, type Extension, RangeSet, StateEffect, StateField } from "@codemirror/state";
import { Decoration, type DecorationSet, EditorView, GutterMarker, gutter } from "@codemirror/view";
import type { DagProblem } from "../core/types";

interface Place {
  from: number;
  to: number;
  line: number; // where the line begins
  severity: "error" | "warning";
  message: string;
}

export const setPlaces = StateEffect.define<Place[]>();

export function placesOf(state: EditorState, problems: DagProblem[], severity: Place["severity"]): Place[] {
  return problems.map((problem) => {
    const line = state.doc.line(Math.max(1, Math.min(state.doc.lines, problem.line ?? 1)));
    const start = Math.min(line.to, line.from + Math.max(0, (problem.column ?? 1) - 1));
    const to = Math.min(line.to, start + Math.max(1, problem.length));
    const from = to > start ? start : Math.max(line.from, to - 1); // at the end of a line: its last character
    return { from, to, line: line.from, severity, message: problem.hint ? `${problem.message}. ${problem.hint}` : problem.message };
  });
}

class Mark extends GutterMarker {
  constructor(private readonly severity: string, private readonly message: string) {
    super();
  }
  override eq(other: Mark): boolean {
    return other.severity === this.severity && other.message === this.message;
  }
  override toDOM(): HTMLElement {
    const mark = document.createElement("span");
    mark.className = `mark-${this.severity}`;
    mark.textContent = this.severity === "error" ? "✕" : "!";
    mark.title = this.message;
    return mark;
  }
}

interface Shown {
  waves: DecorationSet;
  marks: RangeSet<GutterMarker>;
}

function shownOf(places: Place[]): Shown {
  const waves = places.filter(({ from, to }) => to > from)
    .map(({ from, to, severity, message }) => Decoration.mark({ class: `wave-${severity}`, attributes: { title: message } }).range(from, to));
  const lines = new Map<number, Place>();
  for (const place of places) if (!lines.has(place.line) || place.severity === "error") lines.set(place.line, place);
  const marks = [...lines.values()].map(({ line, severity, message }) => new Mark(severity, message).range(line));
  return { waves: Decoration.set(waves, true), marks: RangeSet.of(marks, true) };
}

const field = StateField.define<Shown>({
  create: () => shownOf([]),
  update: (shown, change) => {
    for (const effect of change.effects) if (effect.is(setPlaces)) return shownOf(effect.value);
    return change.docChanged ? { waves: shown.waves.map(change.changes), marks: shown.marks.map(change.changes) } : shown;
  },
  provide: (own) => EditorView.decorations.from(own, (shown) => shown.waves),
});

export const problems: Extension = [field, gutter({ class: "cm-problems", markers: (view) => view.state.field(field).marks })];
