// What differs between two texts, by lines: the shortest script of E. Myers, "An O(ND) Difference Algorithm and Its
// Variations" (1986), after the common head and tail are set aside.

export interface DiffLine {
  kind: "same" | "gone" | "new";
  text: string;
  before: number | null; // line numbers, from 1
  after: number | null;
}

const STEPS_MAX = 1000; // beyond it everything in between counts as changed

// Per step the furthest x on each diagonal; null when there are too many steps.
function trace(a: string[], b: string[]): Map<number, number>[] | null {
  const steps: Map<number, number>[] = [];
  let far = new Map([[1, 0]]);
  for (let d = 0; d <= a.length + b.length; d++) {
    if (d > STEPS_MAX) return null;
    steps.push(new Map(far));
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && (far.get(k - 1) ?? -1) < (far.get(k + 1) ?? -1));
      let x = down ? far.get(k + 1)! : far.get(k - 1)! + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++;
      far.set(k, x);
      if (x >= a.length && x - k >= b.length) return steps;
    }
  }
  return steps;
}

type Step = "same" | "gone" | "new";

function script(a: string[], b: string[]): Step[] {
  const steps = trace(a, b);
  if (!steps) return [...a.map((): Step => "gone"), ...b.map((): Step => "new")];
  const out: Step[] = [];
  let x = a.length, y = b.length;
  for (let d = steps.length - 1; d >= 0; d--) {
    const far = steps[d]!, k = x - y;
    const down = k === -d || (k !== d && (far.get(k - 1) ?? -1) < (far.get(k + 1) ?? -1));
    const fromK = down ? k + 1 : k - 1, fromX = far.get(fromK)!, fromY = fromX - fromK;
    while (x > fromX && y > fromY) { out.push("same"); x--; y--; }
    if (d > 0) out.push(down ? "new" : "gone");
    x = fromX;
    y = fromY;
  }
  return out.reverse();
}

export function diffLines(before: string, after: string): DiffLine[] {
  const a = before.split("\n"), b = after.split("\n");
  let head = 0, tail = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const middle = script(a.slice(head, a.length - tail), b.slice(head, b.length - tail));
  const steps: Step[] = [...Array<Step>(head).fill("same"), ...middle, ...Array<Step>(tail).fill("same")];
  let i = 0, k = 0;
  return steps.map((kind) => {
    if (kind === "gone") return { kind, text: a[i]!, before: ++i, after: null };
    if (kind === "new") return { kind, text: b[k]!, before: null, after: ++k };
    return { kind, text: a[i]!, before: ++i, after: ++k };
  });
}

// Only what changed, with some lines around it; null stands for what is left out.
export function withContext(lines: DiffLine[], around = 3): (DiffLine | null)[] {
  const near = lines.map(() => false);
  lines.forEach((line, i) => {
    if (line.kind === "same") return;
    for (let k = Math.max(0, i - around); k <= Math.min(lines.length - 1, i + around); k++) near[k] = true;
  });
  const out: (DiffLine | null)[] = [];
  lines.forEach((line, i) => {
    if (near[i]) out.push(line);
    else if (out[out.length - 1] !== null) out.push(null);
  });
  return out;
}
