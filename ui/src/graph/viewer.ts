// A graph on a canvas: pan, zoom, choose. What is drawn goes onto a sheet that is larger than the view, in slices of a
// few milliseconds; a frame only copies the sheet. So panning costs the same at ten tasks and at five thousand, and a
// task that changes its state is painted over on the sheet.
import { BOX_SCALE, Painter, type Look, type Rect, readColours } from "./paint";
import type { Plan } from "./plan";

const SLICE_MS = 6;
const MARGIN = 0.5; // of the view, on each side of it
const MAX_SCALE = 2.5;
const READ_SCALE = 0.7; // names are easy to read from here on
const FEW = 60; // tasks

interface Sheet {
  canvas: HTMLCanvasElement;
  ctx: CanvasRenderingContext2D;
  scale: number;
  view: Rect; // in the graph's units
}

export interface ViewerEvents {
  choose: (index: number) => void;
  moved: (place: string) => void; // for the address: x,y,scale
}

export class Viewer {
  private x = 0; // of the graph, at the view's left top
  private y = 0;
  private scale = 1;
  private width = 1;
  private height = 1;
  private readonly ctx: CanvasRenderingContext2D;
  private painter: Painter;
  private sheet: Sheet | null = null;
  private next: { sheet: Sheet; work: Generator<void> } | null = null;
  private dirty = new Set<number>(); // changed while the next sheet was painted
  private stale = new Set<number>(); // changed and not painted on the sheet yet
  private fresh = new Set<number>(); // of those, what can be seen and is not painted yet
  private isWhole = false;           // the view only needs what is fresh
  private frame = 0;
  private readonly undo: (() => void)[] = [];

  // `place`: of the address; "": where most can be seen. Nothing is drawn before the view is there, so that whoever
  // moves at once moves from what is shown.
  constructor(private readonly canvas: HTMLCanvasElement, private readonly plan: Plan, private look: Look, private selected: number,
    private place: string | null, private readonly events: ViewerEvents) {
    this.ctx = canvas.getContext("2d")!;
    this.painter = new Painter(plan, readColours(canvas));
    this.resize();
    const observer = new ResizeObserver(() => this.resize());
    observer.observe(canvas.parentElement!);
    this.undo.push(() => observer.disconnect());
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    this.on(scheme, "change", () => {
      this.painter = new Painter(plan, readColours(canvas));
      this.redraw();
    });
    this.pointers();
    this.keys();
  }

  close(): void {
    cancelAnimationFrame(this.frame);
    for (const undo of this.undo) undo();
  }

  private on(target: EventTarget, name: string, act: (event: any) => void, options?: AddEventListenerOptions): void {
    target.addEventListener(name, act, options);
    this.undo.push(() => target.removeEventListener(name, act, options));
  }

  // ---- what is shown ----

  setLook(look: Look): void {
    this.look = look;
    this.redraw();
  }

  // These tasks have another state now.
  touch(indexes: number[]): void {
    for (const i of indexes) {
      if (this.next) this.dirty.add(i);
      if (this.sheet) this.stale.add(i);
      this.fresh.add(i);
    }
    this.scheduleFrame();
  }

  select(index: number): void {
    if (index === this.selected) return;
    this.selected = index;
    if (index >= 0 && !this.isInView(index)) this.centre(index);
    this.schedule();
  }

  fit(): void {
    this.whole();
    this.moved();
  }

  private whole(): void {
    const scale = Math.min(this.width / (this.plan.width + 40), this.height / (this.plan.height + 40), 1);
    this.scale = Math.max(scale, 0.001);
    this.x = this.plan.width / 2 - this.width / 2 / this.scale;
    this.y = this.plan.height / 2 - this.height / 2 / this.scale;
  }

  centre(index: number): void {
    const { x, y, w, h } = this.plan;
    this.scale = Math.max(this.scale, 0.6);
    this.x = x[index]! + w[index]! / 2 - this.width / 2 / this.scale;
    this.y = y[index]! + h[index]! / 2 - this.height / 2 / this.scale;
    this.moved();
  }

  zoom(factor: number, px = this.width / 2, py = this.height / 2): void {
    const scale = Math.min(MAX_SCALE, Math.max(this.least(), this.scale * factor));
    this.x += px / this.scale - px / scale;
    this.y += py / this.scale - py / scale;
    this.scale = scale;
    this.moved();
  }

  pan(dx: number, dy: number): void {
    this.x -= dx / this.scale;
    this.y -= dy / this.scale;
    this.moved();
  }

  // A place from the address; without one everything is shown.
  private goTo(place: string): void {
    const [x, y, scale] = place.split(",").map(Number);
    if (scale && Number.isFinite(x) && Number.isFinite(y)) {
      this.scale = Math.min(MAX_SCALE, Math.max(0.001, scale));
      this.x = x! - this.width / 2 / this.scale;
      this.y = y! - this.height / 2 / this.scale;
    } else {
      this.whole();
      if (this.scale < BOX_SCALE) this.atWidth();
      else if (this.scale < READ_SCALE && this.plan.ids.length <= FEW) this.atNames();
    }
    this.schedule();
  }

  // A graph that is much higher than the view: its layers as wide as the view is, from where it begins.
  private atWidth(): void {
    this.scale = Math.min(1, Math.max(BOX_SCALE, this.width / (this.plan.width + 40)));
    const i = Math.max(0, this.selected);
    this.x = this.selected < 0 ? -20 : Math.max(-20, this.plan.x[i]! - this.width / 2 / this.scale);
    this.y = this.plan.y[i]! - this.height / 2 / this.scale;
    this.schedule();
  }

  // A graph of few tasks that is a little too large for the view: so that names can be read, from where it begins.
  private atNames(): void {
    const i = Math.max(0, this.selected);
    this.scale = READ_SCALE;
    this.x = this.selected < 0 ? -20 : this.plan.x[i]! - this.width / 2 / this.scale;
    this.y = this.plan.y[i]! - this.height / 2 / this.scale;
    this.schedule();
  }

  private least(): number {
    return Math.min(0.5, 0.5 * Math.min(this.width / this.plan.width, this.height / this.plan.height));
  }

  private isInView(i: number): boolean {
    const { x, y, w, h } = this.plan;
    return this.scale > 0.3 && x[i]! >= this.x && y[i]! >= this.y && x[i]! + w[i]! <= this.x + this.width / this.scale
      && y[i]! + h[i]! <= this.y + this.height / this.scale;
  }

  private moved(): void {
    this.schedule();
    const round = (n: number) => String(Math.round(n));
    this.events.moved([round(this.x + this.width / 2 / this.scale), round(this.y + this.height / 2 / this.scale), this.scale.toFixed(3)].join(","));
  }

  private resize(): void {
    const { width, height } = this.canvas.parentElement!.getBoundingClientRect();
    const ratio = devicePixelRatio;
    if (!width || !height || (width === this.width && height === this.height)) return;
    this.width = width;
    this.height = height;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    if (this.place !== null) this.goTo(this.place);
    else this.redraw();
    this.place = null;
  }

  // ---- sheets ----

  private redraw(): void {
    this.next = null;
    this.sheet && (this.sheet.scale = -Math.abs(this.sheet.scale)); // still shown, but to be replaced
    this.schedule();
  }

  private wantedView(): Rect {
    const w = this.width / this.scale, h = this.height / this.scale;
    return { left: this.x - w * MARGIN, top: this.y - h * MARGIN, right: this.x + w * (1 + MARGIN), bottom: this.y + h * (1 + MARGIN) };
  }

  private isCovered(sheet: Sheet | null): boolean {
    if (!sheet || sheet.scale !== this.scale) return false;
    const { view } = sheet;
    const w = this.width / this.scale, h = this.height / this.scale, edge = MARGIN / 3;
    return view.left <= this.x - w * edge && view.top <= this.y - h * edge && view.right >= this.x + w * (1 + edge) && view.bottom >= this.y + h * (1 + edge);
  }

  private begin(): void {
    const ratio = devicePixelRatio, view = this.wantedView(), scale = this.scale;
    const canvas = document.createElement("canvas");
    canvas.width = Math.round((view.right - view.left) * scale * ratio);
    canvas.height = Math.round((view.bottom - view.top) * scale * ratio);
    const ctx = canvas.getContext("2d")!;
    ctx.setTransform(scale * ratio, 0, 0, scale * ratio, -view.left * scale * ratio, -view.top * scale * ratio);
    const sheet = { canvas, ctx, scale, view };
    this.dirty.clear();
    this.canvas.setAttribute("aria-busy", "true");
    this.next = { sheet, work: this.painter.paint(ctx, view, scale, this.look) };
  }

  private work(): void {
    if (this.next && this.next.sheet.scale !== this.scale) this.next = null;
    if (!this.next) {
      if (this.isCovered(this.sheet)) return;
      this.begin();
    }
    const end = performance.now() + SLICE_MS;
    while (performance.now() < end) {
      if (!this.next!.work.next().done) continue;
      this.sheet = this.next!.sheet;
      this.next = null;
      this.canvas.removeAttribute("aria-busy");
      this.canvas.dataset["scale"] = String(this.scale);
      this.stale = this.dirty;
      this.dirty = new Set();
      this.isWhole = false;
      return;
    }
  }

  private repaint(sheet: Sheet, indexes: Iterable<number>): void {
    const scale = Math.abs(sheet.scale);
    for (const i of indexes) if (i < this.plan.ids.length && this.painter.isIn(sheet.view, i)) this.painter.node(sheet.ctx, i, scale, this.look);
  }

  private schedule(): void {
    this.isWhole = false;
    this.scheduleFrame();
  }

  private scheduleFrame(): void {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.work();
      if (this.isWhole && this.sheet) this.drawFresh(this.sheet);
      else this.draw();
      this.fresh.clear();
      if (this.next || !this.isCovered(this.sheet)) this.scheduleFrame();
    });
  }

  // A few boxes on what is shown already. The sheet gets them when it is needed again: each copy of it costs its size.
  private drawFresh(sheet: Sheet): void {
    const { ctx, scale, plan } = this, by = scale * devicePixelRatio;
    const right = this.x + this.width / scale, bottom = this.y + this.height / scale;
    const offset = (at: number, edge: number) => Math.round((edge - at) * by) - edge * by; // as draw() puts the sheet
    ctx.setTransform(by, 0, 0, by, offset(this.x, sheet.view.left), offset(this.y, sheet.view.top));
    for (const i of this.fresh) {
      if (i < plan.ids.length && plan.x[i]! < right && plan.x[i]! + plan.w[i]! > this.x && plan.y[i]! < bottom && plan.y[i]! + plan.h[i]! > this.y) this.painter.node(ctx, i, scale, this.look);
    }
  }

  private draw(): void {
    const { ctx, sheet, scale } = this, ratio = devicePixelRatio;
    if (sheet) {
      this.repaint(sheet, this.stale);
      this.stale.clear();
    }
    this.isWhole = sheet !== null && sheet.scale === scale;
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (sheet) {
      const by = scale * ratio;
      const { left, top, right, bottom } = sheet.view;
      ctx.imageSmoothingEnabled = Math.abs(sheet.scale) !== scale;
      ctx.drawImage(sheet.canvas, Math.round((left - this.x) * by), Math.round((top - this.y) * by), Math.round((right - left) * by), Math.round((bottom - top) * by));
    }
    this.drawSelected(ratio);
  }

  private drawSelected(ratio: number): void {
    const i = this.selected;
    if (i < 0) return;
    const { x, y, w, h } = this.plan, by = this.scale * ratio, gap = 4;
    this.ctx.strokeStyle = this.painter.colours.accent;
    this.ctx.lineWidth = 2.5 * ratio;
    this.ctx.strokeRect((x[i]! - this.x) * by - gap * ratio, (y[i]! - this.y) * by - gap * ratio, w[i]! * by + 2 * gap * ratio, h[i]! * by + 2 * gap * ratio);
  }

  // ---- hands ----

  indexAt(px: number, py: number): number {
    const x = this.x + px / this.scale, y = this.y + py / this.scale, slack = 3 / this.scale;
    const { plan } = this;
    for (let i = plan.ids.length - 1; i >= 0; i--) {
      if (x >= plan.x[i]! - slack && x <= plan.x[i]! + plan.w[i]! + slack && y >= plan.y[i]! - slack && y <= plan.y[i]! + plan.h[i]! + slack) return i;
    }
    return -1;
  }

  private pointers(): void {
    const held = new Map<number, { x: number; y: number }>();
    let travelled = 0;
    const at = (event: PointerEvent) => {
      const box = this.canvas.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    this.on(this.canvas, "pointerdown", (event: PointerEvent) => {
      this.canvas.setPointerCapture(event.pointerId);
      held.set(event.pointerId, at(event));
      travelled = 0;
    });
    this.on(this.canvas, "pointermove", (event: PointerEvent) => {
      const before = held.get(event.pointerId), now = at(event);
      if (!before) return this.hover(now.x, now.y);
      const other = [...held].find(([id]) => id !== event.pointerId)?.[1];
      held.set(event.pointerId, now);
      travelled += Math.abs(now.x - before.x) + Math.abs(now.y - before.y);
      if (!other) return this.pan(now.x - before.x, now.y - before.y);
      const distance = (p: { x: number; y: number }) => Math.hypot(p.x - other.x, p.y - other.y);
      this.zoom(distance(now) / Math.max(1, distance(before)), other.x, other.y);
    });
    this.on(this.canvas, "pointerup", (event: PointerEvent) => {
      const { x, y } = at(event);
      if (held.delete(event.pointerId) && travelled < 5) this.choose(this.indexAt(x, y));
    });
    this.on(this.canvas, "pointercancel", (event: PointerEvent) => held.delete(event.pointerId));
    this.on(this.canvas, "wheel", (event: WheelEvent) => {
      event.preventDefault();
      const { x, y } = at(event as unknown as PointerEvent);
      this.zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0016)), x, y);
    }, { passive: false });
  }

  private hover(px: number, py: number): void {
    const i = this.indexAt(px, py);
    this.canvas.title = i >= 0 ? `${this.plan.names[i]} ${this.look.state(i)}` : "";
    this.canvas.style.cursor = i >= 0 ? "pointer" : "grab";
  }

  private choose(i: number): void {
    if (i >= 0) this.events.choose(i);
  }

  private keys(): void {
    const step = 80;
    const acts: Record<string, () => void> = {
      ArrowLeft: () => this.pan(step, 0), ArrowRight: () => this.pan(-step, 0), ArrowUp: () => this.pan(0, step), ArrowDown: () => this.pan(0, -step),
      "+": () => this.zoom(1.3), "=": () => this.zoom(1.3), "-": () => this.zoom(1 / 1.3), "0": () => this.fit(),
      h: () => this.choose(this.plan.needs[this.selected]?.[0] ?? -1), l: () => this.choose(this.plan.feeds[this.selected]?.[0] ?? -1),
    };
    this.on(this.canvas, "keydown", (event: KeyboardEvent) => {
      const act = acts[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act();
    });
  }
}
