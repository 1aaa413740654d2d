// The graph in a page: the canvas, its buttons, and the keys that walk from task to task.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { addCursor } from "../core/keys";
import { refine, wanted } from "../core/route";
import type { Look } from "./paint";
import type { Plan } from "./plan";
import { Viewer } from "./viewer";

export interface GraphBoxProps {
  plan: Plan; // the same object while the graph is the same
  look: () => Look;
  lookKey: string;            // changes when the look has to be taken anew
  // Calls `hear` with the tasks that have another state, until what it returns is called. The same function while its
  // source is the same.
  changes?: (hear: (indexes: number[]) => void) => () => void;
  selected?: string | undefined;
  choose: (taskId: string) => void;
  label: string;
  children?: ComponentChildren; // more buttons
}

export function GraphBox(props: GraphBoxProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const viewer = useRef<Viewer>();
  const { plan } = props;
  const latest = useRef(props);
  latest.current = props;
  const selected = props.selected === undefined ? -1 : plan.index.get(props.selected) ?? -1;
  const selectedNow = useRef(selected);
  selectedNow.current = selected;

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    const own = new Viewer(canvas.current!, plan, props.look(), selected, wanted("place"), {
      choose: (i) => { if (!plan.grouped) latest.current.choose(plan.ids[i]!); },
      moved: (place) => {
        clearTimeout(timer);
        timer = setTimeout(() => refine({ place }), 300);
      },
    });
    viewer.current = own;
    const removeCursor = addCursor({
      move: (by) => latest.current.choose(plan.ids[Math.max(0, Math.min(plan.ids.length - 1, selectedNow.current + by))]!),
      open: () => own.centre(Math.max(0, selectedNow.current)),
    });
    return () => {
      clearTimeout(timer);
      removeCursor();
      own.close();
    };
  }, [plan]);
  useEffect(() => viewer.current?.setLook(props.look()), [props.lookKey, plan]);
  useEffect(() => props.changes?.((indexes) => viewer.current?.touch(indexes)), [props.changes, plan]);
  useEffect(() => viewer.current?.select(selected), [selected, plan]);

  return (
    <div class="graph">
      <div class="above">
        {props.children}
        <span class="zoom" role="group" aria-label="zoom">
          <button aria-label="zoom in" onClick={() => viewer.current?.zoom(1.4)}>+</button>
          <button aria-label="zoom out" onClick={() => viewer.current?.zoom(1 / 1.4)}>−</button>
          <button onClick={() => viewer.current?.fit()}>Fit</button>
        </span>
      </div>
      <div class="sheet">
        <canvas ref={canvas} tabIndex={0} role="img" aria-label={props.label} />
      </div>
    </div>
  );
}
