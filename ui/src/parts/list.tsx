// A list of any length: rows of one height, of which only those in view are there. It is a table for whoever listens to
// it, and j, k, Enter and x work on it.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { addCursor } from "../core/keys";

export interface Column {
  name: string;
  width: string;   // as in grid-template-columns
  right?: boolean; // numbers
  minor?: boolean; // left out where the screen is narrow
  extra?: boolean; // left out where its pane is not wide
  hidden?: boolean; // the name is for listeners only
}

export interface ListProps<T> {
  label: string;
  items: T[];
  id: (item: T) => string;
  columns: Column[];
  row: (item: T, index: number) => ComponentChildren[]; // a cell a column
  rowClass?: (item: T) => string;
  current?: string | undefined; // the id of what is selected
  open: (item: T) => void;
  choose?: (item: T) => void;
  nearEnd?: () => void; // the last rows came into view
  height?: number;
}

export const ROW = 32;
const BESIDE = 6; // rows above and below what is in view

// Which rows are in view, as numbers of rows: what moves by less draws nothing anew. It is measured before the first
// paint, so that rows are drawn once.
function useViewport(height: number) {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [seen, setSeen] = useState(0);
  useLayoutEffect(() => {
    const measure = () => setSeen(Math.ceil(box.current!.clientHeight / height) + 1);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, [height]);
  return { box, top, seen, onScroll: (e: Event) => setTop(Math.floor((e.currentTarget as HTMLElement).scrollTop / height)) };
}

function scrollTo(box: HTMLElement, index: number, height: number): void {
  const y = index * height;
  if (y < box.scrollTop) box.scrollTop = y;
  else if (y + height * 2 > box.scrollTop + box.clientHeight) box.scrollTop = y + height * 2 - box.clientHeight;
}

// Which row the keys are at; the focus follows it.
function useCursor<T>(props: ListProps<T>, box: { current: HTMLElement | null }, height: number) {
  const [at, setAt] = useState(-1);
  const latest = useRef({ props, at });
  latest.current = { props, at };
  const move = (by: number) => {
    const { props, at } = latest.current;
    const from = at < 0 && props.current ? props.items.findIndex((item) => props.id(item) === props.current) : at;
    const next = Math.max(0, Math.min(props.items.length - 1, from + by));
    if (!props.items.length) return;
    setAt(next);
    scrollTo(box.current!, next, height);
    requestAnimationFrame(() => box.current?.querySelector<HTMLElement>(`[data-row="${next}"]`)?.focus({ preventScroll: true }));
  };
  const act = (what: "open" | "choose") => {
    const { props, at } = latest.current;
    const item = props.items[at];
    if (item !== undefined) props[what]?.(item);
  };
  useEffect(() => addCursor({ move, open: () => act("open"), ...(props.choose ? { choose: () => act("choose") } : {}) }), []);
  return { at, setAt };
}

export function List<T>(props: ListProps<T>) {
  const { items, columns } = props;
  const height = props.height ?? ROW;
  const view = useViewport(height);
  const cursor = useCursor(props, view.box, height);
  const first = Math.max(0, view.top - BESIDE);
  const last = view.seen && Math.min(items.length, view.top + view.seen + BESIDE);
  useEffect(() => {
    if (items.length && last >= items.length - 10) props.nearEnd?.();
  }, [last, items.length]);
  const grid = columns.map((column) => column.width).join(" ");
  const middle = columns.filter((column) => !column.extra).map((column) => column.width).join(" ");
  const classes = columns.map(cellClass);
  const narrow = columns.filter((column) => !column.minor).map((column) => column.width).join(" ");
  return (
    <div class="list" ref={view.box} onScroll={view.onScroll} role="table" aria-label={props.label} aria-rowcount={items.length + 1} {...(items.length === 0 ? { tabIndex: 0 } : {})}
      style={{ "--grid": grid, "--middle": middle, "--narrow": narrow, "--row": `${height}px` }}>
      <div class="row head" role="row">
        {columns.map((column, i) => (
          <span key={column.name} role="columnheader" class={classes[i]}>{column.hidden ? <span class="sr">{column.name}</span> : column.name}</span>
        ))}
      </div>
      <div class="space" role="rowgroup" style={{ height: `${items.length * height}px` }}>
        {items.slice(first, last).map((item, i) => rowOf(props, item, first + i, height, classes, cursor))}
      </div>
    </div>
  );
}

function cellClass(column: Column): string | undefined {
  return [column.right && "n", column.minor && "minor", column.extra && "extra"].filter(Boolean).join(" ") || undefined;
}

// No component of its own: of those there are many, and each costs.
function rowOf<T>(props: ListProps<T>, item: T, index: number, height: number, classes: (string | undefined)[], cursor: { at: number; setAt: (at: number) => void }) {
  const id = props.id(item), current = id === props.current;
  const focusable = cursor.at < 0 ? index === 0 : cursor.at === index;
  return (
    <div key={id} class={`row ${current ? "on" : ""} ${props.rowClass?.(item) ?? ""}`} role="row" aria-rowindex={index + 2} data-row={index}
      tabIndex={focusable ? 0 : -1} aria-current={current ? "true" : undefined} style={{ transform: `translateY(${index * height}px)` }} onFocus={() => cursor.setAt(index)}
      onClick={(e) => { if (!(e.target as HTMLElement).closest("a, button, input")) props.open(item); }}>
      {props.row(item, index).map((cell, i) => <span key={i} role="cell" class={classes[i]}>{cell}</span>)}
    </div>
  );
}
