// Drawing of boxes and edges. The further away, the less: text, then marks, then only colour.
import { marks } from "../parts/state";
import type { Edge, Plan } from "./plan";

export interface Look {
  state: (index: number) => string; // "" without states
  bright: ReadonlySet<number> | null; // what stands out; null: everything
  critical: ReadonlySet<number>;
}

export interface Colours {
  text: string; soft: string; line: string; panel: string; back: string; accent: string;
  states: Record<string, string>;
}

const stateColour: Record<string, string> = {
  succeeded: "good", failed: "bad", running: "busy", queued: "wait", pending: "soft", skipped: "soft", canceled: "soft",
};

export function readColours(element: HTMLElement): Colours {
  const style = getComputedStyle(element);
  // Custom properties come as written (light-dark(...)); a colour property comes as what is used.
  const probe = document.createElement("i");
  element.parentElement!.append(probe);
  const value = (name: string) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color || style.color;
  };
  const colours: Colours = {
    text: value("text"), soft: value("soft"), line: value("line"), panel: value("panel"), back: value("back"), accent: value("accent"),
    states: Object.fromEntries(Object.entries(stateColour).map(([state, name]) => [state, value(name)])),
  };
  probe.remove();
  return colours;
}

export interface Rect {
  left: number; top: number; right: number; bottom: number;
}

const TEXT_SCALE = 0.5;  // below it names cannot be read
export const BOX_SCALE = 0.16;  // below it a border is all there would be
const DIM = 0.16;
const FONT = "12px system-ui, sans-serif";

const shapes = new Map<string, Path2D>();

function shapeOf(state: string): Path2D {
  let shape = shapes.get(state);
  if (!shape) shapes.set(state, (shape = new Path2D(marks[state]!.path)));
  return shape;
}

export class Painter {
  private fitted: (string | undefined)[] = [];
  private stamps = new Map<string, HTMLCanvasElement>(); // boxes without text, one a state, of one size
  private stampScale = 0;

  constructor(private readonly plan: Plan, readonly colours: Colours) {}

  // Piece by piece, so that a frame is never longer than the caller lets it be.
  *paint(ctx: CanvasRenderingContext2D, view: Rect, scale: number, look: Look): Generator<void> {
    yield* this.edges(ctx, view, scale, look);
    let n = 0;
    for (let i = 0; i < this.plan.ids.length; i++) {
      if (!this.isIn(view, i)) continue;
      this.node(ctx, i, scale, look);
      if (++n % 150 === 0) yield;
    }
  }

  isIn(view: Rect, i: number): boolean {
    const { x, y, w, h } = this.plan;
    return x[i]! < view.right && x[i]! + w[i]! > view.left && y[i]! < view.bottom && y[i]! + h[i]! > view.top;
  }

  private *edges(ctx: CanvasRenderingContext2D, view: Rect, scale: number, look: Look): Generator<void> {
    const crowded = scale < BOX_SCALE;
    ctx.lineWidth = Math.max(1.2, 0.8 / scale);
    const thin = Math.min(1, Math.sqrt((4 * this.plan.ids.length) / Math.max(1, this.plan.edges.length))); // many make a grey wall
    for (const bright of look.bright ? [false, true] : [true]) {
      ctx.strokeStyle = this.colours.soft;
      ctx.globalAlpha = bright ? (crowded ? 0.3 : 0.6) * thin : DIM / 2;
      let n = 0;
      ctx.beginPath();
      for (const edge of this.plan.edges) {
        if (edge.left > view.right || edge.right < view.left || edge.top > view.bottom || edge.bottom < view.top) continue;
        if (look.bright && (look.bright.has(edge.from) && look.bright.has(edge.to)) !== bright) continue;
        trace(ctx, edge, crowded);
        if (++n % 250 === 0) {
          ctx.stroke();
          yield;
          ctx.beginPath();
        }
      }
      ctx.stroke();
    }
    ctx.globalAlpha = 1;
    this.criticalEdges(ctx, scale, look);
    yield;
  }

  private criticalEdges(ctx: CanvasRenderingContext2D, scale: number, look: Look): void {
    if (look.critical.size === 0) return;
    ctx.strokeStyle = this.colours.accent;
    ctx.lineWidth = Math.max(2.5, 2 / scale);
    ctx.beginPath();
    for (const edge of this.plan.edges) if (look.critical.has(edge.from) && look.critical.has(edge.to)) trace(ctx, edge, false);
    ctx.stroke();
  }

  node(ctx: CanvasRenderingContext2D, i: number, scale: number, look: Look): void {
    const { plan, colours } = this;
    const x = plan.x[i]!, y = plan.y[i]!, w = plan.w[i]!, h = plan.h[i]!;
    const state = look.state(i);
    const colour = colours.states[state] ?? colours.soft;
    const dim = look.bright !== null && !look.bright.has(i);
    ctx.globalAlpha = 1;
    ctx.fillStyle = colours.back;
    if (scale >= TEXT_SCALE || dim) ctx.fillRect(x, y, w, h); // covers the edges behind it, and what was painted here before
    ctx.globalAlpha = dim ? DIM : 1;
    if (scale >= TEXT_SCALE) this.nearBox(ctx, i, state, colour, look);
    else if (this.plan.grouped) this.smallBox(ctx, x, y, w, h, state, colour, scale);
    else this.stampBox(ctx, x, y, state, colour, scale);
    ctx.globalAlpha = 1;
  }

  private smallBox(ctx: CanvasRenderingContext2D, x: number, y: number, w: number, h: number, state: string, colour: string, scale: number): void {
    if (scale < BOX_SCALE) this.farBox(ctx, x, y, w, h, state, colour, scale);
    else this.middleBox(ctx, x, y, w, h, state, colour);
  }

  // Small boxes of one state look the same: each is painted once and then copied, which costs a fraction.
  private stampBox(ctx: CanvasRenderingContext2D, x: number, y: number, state: string, colour: string, scale: number): void {
    const w = this.plan.w[0]!, h = this.plan.h[0]!, by = scale * devicePixelRatio;
    const margin = Math.max(0, 2 / scale - h) / 2 + 1 / by;
    if (this.stampScale !== by) this.stamps.clear();
    this.stampScale = by;
    let stamp = this.stamps.get(state);
    if (!stamp) {
      stamp = document.createElement("canvas");
      stamp.width = Math.ceil((w + 2 * margin) * by);
      stamp.height = Math.ceil((h + 2 * margin) * by);
      const own = stamp.getContext("2d")!;
      own.setTransform(by, 0, 0, by, margin * by, margin * by);
      this.smallBox(own, 0, 0, w, h, state, colour, scale);
      this.stamps.set(state, stamp);
    }
    ctx.imageSmoothingEnabled = false; // painted over at the same place it covers itself to the pixel
    ctx.drawImage(stamp, x - margin, y - margin, stamp.width / by, stamp.height / by);
  }

  private farBox(ctx: CanvasRenderingContext2D, x: number, y: number, w: number, h: number, state: string, colour: string, scale: number): void {
    const grow = Math.max(0, 2 / scale - h) / 2; // never less than two pixels
    ctx.fillStyle = state === "pending" || state === "skipped" || !state ? this.colours.line : colour;
    ctx.fillRect(x - grow, y - grow, w + 2 * grow, h + 2 * grow);
  }

  // The letter of the state as large as the box, since a colour alone says nothing to some.
  private middleBox(ctx: CanvasRenderingContext2D, x: number, y: number, w: number, h: number, state: string, colour: string): void {
    const mark = marks[state];
    ctx.fillStyle = mark?.filled ? colour : this.colours.panel;
    ctx.fillRect(x, y, w, h);
    ctx.strokeStyle = colour;
    ctx.lineWidth = 2;
    ctx.strokeRect(x + 1, y + 1, w - 2, h - 2);
    if (!mark) return;
    ctx.fillStyle = mark.filled ? this.colours.back : colour;
    ctx.font = "bold 28px system-ui, sans-serif";
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    ctx.fillText(mark.letter, x + w / 2, y + h / 2 + 1);
  }

  private nearBox(ctx: CanvasRenderingContext2D, i: number, state: string, colour: string, look: Look): void {
    const { plan, colours } = this;
    const x = plan.x[i]!, y = plan.y[i]!, w = plan.w[i]!, h = plan.h[i]!;
    ctx.beginPath();
    ctx.roundRect(x + 0.5, y + 0.5, w - 1, h - 1, 5);
    ctx.fillStyle = colours.panel;
    ctx.fill();
    ctx.strokeStyle = look.critical.has(i) ? colours.accent : state === "failed" ? colour : colours.line;
    ctx.lineWidth = look.critical.has(i) || state === "failed" ? 2 : 1;
    ctx.stroke();
    let left = x + 10;
    if (marks[state]) {
      this.mark(ctx, left, y + h / 2 - 8, state, colour);
      left += 23;
    }
    ctx.fillStyle = colours.text;
    ctx.font = FONT;
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    ctx.fillText(this.fit(ctx, i, x + w - 8 - left), left, y + h / 2 + 0.5);
  }

  private mark(ctx: CanvasRenderingContext2D, x: number, y: number, state: string, colour: string): void {
    const mark = marks[state]!;
    ctx.save();
    ctx.translate(x, y);
    ctx.fillStyle = ctx.strokeStyle = colour;
    ctx.lineWidth = 1.4;
    if (mark.dashed) ctx.setLineDash([2.5, 2]);
    if (mark.filled) ctx.fill(shapeOf(state));
    else ctx.stroke(shapeOf(state));
    ctx.fillStyle = mark.filled ? this.colours.back : colour;
    ctx.font = "bold 9.5px system-ui, sans-serif";
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    ctx.fillText(mark.letter, 8, 8.5);
    ctx.restore();
  }

  // The name, shortened in the middle since ends of names tell tasks apart.
  private fit(ctx: CanvasRenderingContext2D, i: number, room: number): string {
    const known = this.fitted[i];
    if (known !== undefined) return known;
    const name = this.plan.names[i]!;
    let text = name;
    for (let kept = Math.min(name.length, 60) - 1; kept > 1 && ctx.measureText(text).width > room; kept--) {
      text = `${name.slice(0, Math.ceil(kept / 2))}…${name.slice(name.length - Math.floor(kept / 2))}`;
    }
    return (this.fitted[i] = text);
  }
}

function trace(ctx: CanvasRenderingContext2D, edge: Edge, straight: boolean): void {
  const p = edge.points;
  ctx.moveTo(p[0]!, p[1]!);
  for (let i = 2; i < p.length; i += 2) {
    if (straight) {
      ctx.lineTo(p[i]!, p[i + 1]!);
      continue;
    }
    const half = (p[i]! - p[i - 2]!) / 2;
    ctx.bezierCurveTo(p[i - 2]! + half, p[i - 1]!, p[i]! - half, p[i + 1]!, p[i]!, p[i + 1]!);
  }
}
