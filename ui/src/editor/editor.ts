// The YAML editor: CodeMirror, loaded when an editor is opened. It lives in a shadow root, where its styles are
// constructed sheets: the page's policy allows no style elements.
import { autocompletion, completionKeymap, type CompletionContext } from "@codemirror/autocomplete";
import { history, historyKeymap, indentLess, indentMore, standardKeymap } from "@codemirror/commands";
import { EditorState } from "@codemirror/state";
import { EditorView, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import type { DagProblem } from "../core/types";
import { type Schema, choicesAt } from "./complete";
import { highlight } from "./highlight";
import { placesOf, problems, setPlaces } from "./problems";

export interface Editor {
  setProblems: (errors: DagProblem[], warnings: DagProblem[]) => void;
  goTo: (line: number, column: number) => void;
  close: () => void;
}

export interface EditorOptions {
  text: string;
  readOnly: boolean;
  label: string;
  schema: Schema | null;
  changed: (text: string) => void;
}

const theme = EditorView.theme({
  "&": { height: "100%", color: "var(--text)", backgroundColor: "var(--panel)", fontSize: "13px" },
  "&.cm-focused": { outline: "none" }, // its host shows it, which no gutter covers
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.5" },
  ".cm-content": { caretColor: "var(--text)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-gutters": { backgroundColor: "var(--panel)", color: "var(--soft)", border: "0" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "color-mix(in srgb, var(--accent) 9%, transparent)" },
  ".cm-tooltip": { backgroundColor: "var(--back)", color: "var(--text)", border: "1px solid var(--line)", borderRadius: "6px", padding: "2px" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--back)" },
  ".cm-completionDetail": { color: "inherit", fontStyle: "normal", opacity: ".8" },
  ".cm-problems": { width: "14px", textAlign: "center", fontWeight: "700" },
  ".mark-error": { color: "var(--bad)" },
  ".mark-warning": { color: "var(--wait)" },
  ".wave-error": { textDecoration: "underline wavy var(--bad) 1.5px", textUnderlineOffset: "3px" },
  ".wave-warning": { textDecoration: "underline wavy var(--wait) 1.5px", textUnderlineOffset: "3px" },
  ".y-key": { color: "var(--accent)" },
  ".y-atom": { color: "var(--good)" },
  ".y-comment": { color: "var(--soft)", fontStyle: "italic" },
  ".y-sign": { color: "var(--soft)" },
  ".y-anchor": { color: "var(--wait)" },
});

// A new line stands below the text of the one before, and deeper where that one opens a mapping.
function newLine(view: EditorView): boolean {
  const { state } = view;
  if (state.readOnly) return false;
  const line = state.doc.lineAt(state.selection.main.from);
  const before = line.text.slice(0, state.selection.main.from - line.from);
  const indent = /^\s*(?:- +)*/.exec(before)![0].length + (/:\s*(?:[|>][+-]?)?\s*$/.test(before) ? 2 : 0);
  view.dispatch(state.update(state.replaceSelection(`\n${" ".repeat(indent)}`), { scrollIntoView: true, userEvent: "input" }));
  return true;
}

function completion(schema: Schema | null) {
  return (context: CompletionContext) => {
    if (!schema) return null;
    const found = choicesAt(context.state.doc.toString(), context.pos, schema);
    if (!found || (!context.explicit && found.from === context.pos && !/[-:[] ?$|^\s*$/.test(context.state.doc.lineAt(context.pos).text))) return null;
    return {
      from: found.from,
      options: found.choices.map(({ text, kind, says }) => ({
        label: text, type: kind === "key" ? "property" : "enum", info: says || undefined!, apply: kind === "key" ? `${text}: ` : text,
      })),
      validFor: /^[\w./-]*$/,
    };
  };
}

// A browser that types over a selection keeps its looks by a style attribute, which the page's policy forbids.
const typeOver = EditorView.domEventHandlers({
  beforeinput: (event, view) => {
    if (event.inputType !== "insertText" || !event.data || view.state.selection.main.empty || view.state.readOnly || view.composing) return false;
    event.preventDefault();
    view.dispatch(view.state.replaceSelection(event.data), { userEvent: "input.type", scrollIntoView: true });
    return true;
  },
});

export function open(host: HTMLElement, options: EditorOptions): Editor {
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: options.text,
      extensions: [
        problems, lineNumbers(), highlightActiveLine(), history(), highlight, theme, typeOver,
        autocompletion({ override: [completion(options.schema)], icons: false, interactionDelay: 0 }),
        EditorState.readOnly.of(options.readOnly),
        EditorView.contentAttributes.of({ "aria-label": options.label, spellcheck: "false", tabindex: "0" }),
        EditorView.updateListener.of((update) => { if (update.docChanged) options.changed(update.state.doc.toString()); }),
        keymap.of([...completionKeymap, ...historyKeymap, { key: "Enter", run: newLine }, { key: "Tab", run: indentMore, shift: indentLess }, ...standardKeymap]),
      ],
    }),
  });
  return {
    setProblems: (errors, warnings) => view.dispatch({
      effects: setPlaces.of([...placesOf(view.state, errors, "error"), ...placesOf(view.state, warnings, "warning")]),
    }),
    goTo: (line, column) => {
      const place = view.state.doc.line(Math.max(1, Math.min(view.state.doc.lines, line)));
      view.dispatch({ selection: { anchor: Math.min(place.to, place.from + column - 1) }, scrollIntoView: true });
      view.focus();
    },
    close: () => view.destroy(),
  };
}
