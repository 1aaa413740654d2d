// A state is told by shape and letter and word; colour only repeats it. The same shapes are drawn on the canvas.

export interface Mark {
  letter: string;
  path: string; // in a box of 16 x 16
  filled: boolean;
  dashed?: boolean;
}

const circle = "M8 1a7 7 0 1 1 0 14a7 7 0 1 1 0-14z";
const diamond = "M8 0.4L15.6 8L8 15.6L0.4 8z";
const square = "M2 1.5h12v13h-12z";
const hexagon = "M4.4 1.2h7.2L15.4 8l-3.8 6.8H4.4L0.6 8z";

export const marks: Record<string, Mark> = {
  pending: { letter: "P", path: circle, filled: false },
  queued: { letter: "Q", path: square, filled: false },
  running: { letter: "R", path: hexagon, filled: true },
  succeeded: { letter: "S", path: circle, filled: true },
  failed: { letter: "F", path: diamond, filled: true },
  skipped: { letter: "K", path: circle, filled: false, dashed: true },
  canceled: { letter: "C", path: square, filled: true },
  timed_out: { letter: "T", path: diamond, filled: true },
  lost: { letter: "L", path: diamond, filled: false },
  idle: { letter: "I", path: circle, filled: false },
  draining: { letter: "D", path: hexagon, filled: false },
  stopped: { letter: "T", path: square, filled: true },
  retried: { letter: "R", path: hexagon, filled: false },
  resolved: { letter: "V", path: circle, filled: true },
  fired: { letter: "F", path: circle, filled: true },
};

const unknown: Mark = { letter: "?", path: circle, filled: false };

// Also called as a function, where there are many.
export function StateMark({ state }: { state: string }) {
  const mark = marks[state] ?? unknown;
  return (
    <svg class={`mark ${mark.filled ? "filled" : ""} ${mark.dashed ? "dashed" : ""}`} viewBox="0 0 16 16" aria-hidden="true">
      <path d={mark.path} />
      <text x="8" y="11.4">{mark.letter}</text>
    </svg>
  );
}

export function State({ state, brief }: { state: string; brief?: boolean }) {
  return (
    <span class={`state s-${state}`} title={state}>
      {StateMark({ state })}
      {brief ? <span class="sr">{state}</span> : <span>{state.replace("_", " ")}</span>}
    </span>
  );
}
