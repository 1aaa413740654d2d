// The log of an attempt: its end first, older and newer pieces as one scrolls, its growth as it comes; search through
// all of it, a link to each line. Everything is text.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { bytes } from "../core/format";
import { addKeys } from "../core/keys";
import { here, refine, wanted } from "../core/route";
import { type Piece, pieces } from "./ansi";
import { type Block, type Line, LogFile } from "./file";
import { searchDown, searchUp } from "./search";

const NEAR = 600;      // pixels from an end of the window where the next piece is asked for
const AGAIN_MS = 1000; // between attempts to follow a server that is away
const WHOLE_MAX = 16 * 1024 * 1024; // what one answer holds; more comes by following to the end

interface Props {
  path: string; // with a query
  live: boolean;
  name: string;
}

// ---- the window and its place on the screen ----

interface Anchor {
  at: number;
  top: number;
}

function anchorOf(box: HTMLElement): Anchor | null {
  const edge = box.getBoundingClientRect().top;
  for (const line of box.querySelectorAll<HTMLElement>("[data-at]")) {
    const { top, bottom } = line.getBoundingClientRect();
    if (bottom > edge) return { at: Number(line.dataset["at"]), top: top - edge };
  }
  return null;
}

function lineElement(box: HTMLElement, at: number): HTMLElement | null {
  return box.querySelector<HTMLElement>(`[data-at="${at}"]`);
}

function useLog({ path, live }: Props) {
  const file = useMemo(() => new LogFile(path), [path]);
  const box = useRef<HTMLDivElement>(null);
  const [turn, setTurn] = useState(0);
  const [error, setError] = useState("");
  const [opened, setOpened] = useState(false);
  const busy = useRef(false);
  const scrolled = useRef(false); // while busy
  const keep = useRef<Anchor | "end" | null>("end");
  const isAtEnd = useRef(true);

  const show = () => setTurn((n) => n + 1);
  // One change of the window at a time; what stands on the screen stays where it is.
  const change = async (act: () => Promise<void>, place?: Anchor | "end") => {
    if (busy.current) return;
    busy.current = true;
    try {
      await act();
      setError("");
    } catch (problem) {
      setError((problem as Error).message);
    }
    busy.current = false;
    keep.current = place ?? (box.current && anchorOf(box.current));
    show();
    if (scrolled.current) requestAnimationFrame(() => box.current && onScroll());
    scrolled.current = false;
  };
  useLayoutEffect(() => {
    const element = box.current, place = keep.current;
    keep.current = null;
    if (!element) return;
    if (place === "end") element.scrollTop = element.scrollHeight;
    else if (place) {
      const line = lineElement(element, place.at);
      if (line) element.scrollTop += line.getBoundingClientRect().top - element.getBoundingClientRect().top - place.top;
    }
  }, [turn]);

  const openAt = (at: number) => change(() => file.openAt(at), { at, top: 60 });
  const openEnd = () => change(() => file.openEnd(), "end");
  useEffect(() => {
    const at = wanted("at");
    void (at ? change(async () => { await file.openAt(Number(at)); }, { at: Number(at), top: 60 }) : openEnd()).then(() => setOpened(true));
  }, [file]);

  const onScroll = () => {
    const element = box.current!;
    const below = element.scrollHeight - element.scrollTop - element.clientHeight;
    isAtEnd.current = below < 30 && file.atEnd;
    scrolled.current = busy.current;
    if (busy.current) return;
    if (element.scrollTop < NEAR && file.from > 0) void change(() => file.loadBefore());
    else if (below < NEAR && !file.atEnd) void change(() => file.loadAfter());
  };
  const grown = (piece: Uint8Array): boolean => {
    const end = isAtEnd.current;
    const took = file.grow(piece, end);
    keep.current = end ? "end" : null;
    show();
    return took;
  };
  return { file, box, error, opened, openAt, openEnd, onScroll, grown, live };
}

type Shown = ReturnType<typeof useLog>;

// ---- following ----

async function followOnce(log: Shown, signal: AbortSignal): Promise<"ended" | "full"> {
  const { file } = log;
  const answer = await fetch(`${file.path}&follow=true&offset=${file.to}`, { signal });
  if (!answer.ok) throw new Error(`${answer.status}`);
  const reader = answer.body!.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return "ended";
    if (log.grown(value)) continue;
    await reader.cancel();
    return "full";
  }
}

function useFollow(log: Shown): void {
  const latest = useRef(log);
  latest.current = log;
  useEffect(() => {
    if (!log.opened || !log.live || !log.file.atEnd) return;
    const abort = new AbortController();
    void (async () => {
      while (!abort.signal.aborted) {
        try {
          await followOnce(latest.current, abort.signal);
          return;
        } catch {
          await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
        }
      }
    })();
    return () => abort.abort();
  }, [log.opened, log.file, log.live]);
}

// ---- search ----

function useFind(log: Shown) {
  const [said, setSaid] = useState("");
  const running = useRef<AbortController>();
  const find = async (down: boolean) => {
    const text = wanted("lq");
    if (!text) return;
    running.current?.abort();
    const abort = (running.current = new AbortController());
    const { path, size } = log.file;
    const current = Number(wanted("at") || (down ? -1 : size));
    const search = { path, text, size, signal: abort.signal, progress: (at: number) => setSaid(`${Math.round((100 * at) / Math.max(1, size))} %`) };
    try {
      let at = down ? await searchDown(search, await lineAfter(log, current)) : await searchUp(search, Math.max(0, current));
      const wrapped = at === null;
      if (wrapped) at = down ? await searchDown(search, 0) : await searchUp(search, size);
      setSaid(at === null ? "not found" : wrapped ? (down ? "from the top" : "from the end") : "");
      if (at === null) return;
      refine({ at: String(at) });
      await log.openAt(at);
    } catch {
      if (!abort.signal.aborted) setSaid("the search broke off");
    }
  };
  useEffect(() => () => running.current?.abort(), []);
  return { said, find };
}

// The line behind the one that begins at `at`, if it is in the window; else the next byte.
async function lineAfter(log: Shown, at: number): Promise<number> {
  const lines = log.file.blocks.flatMap((block) => block.lines);
  const i = lines.findIndex((line) => line.at === at);
  return i >= 0 ? lines[i + 1]?.at ?? log.file.to : at + 1;
}

// ---- what is seen ----

export function Log(props: Props) {
  const log = useLog(props);
  useFollow(log);
  const search = useFind(log);
  const field = useRef<HTMLInputElement>(null);
  const wrap = wanted("wrap") !== "no", text = wanted("lq"), at = Number(wanted("at") || -1);
  useEffect(() => addKeys([
    { key: "L", says: "find in the log", act: () => field.current?.focus() },
    { key: "n", says: "the next hit in the log", act: () => void search.find(true) },
    { key: "N", says: "the hit before", act: () => void search.find(false) },
    { key: "w", says: "wrap lines of the log", act: () => refine({ wrap: wanted("wrap") === "no" ? undefined : "no" }) },
    { key: "G", says: "the log's end", act: () => { refine({ at: undefined }); void log.openEnd(); } },
  ]), []);
  const { file } = log;
  return (
    <div class="log">
      <div class="above">
        <input ref={field} type="search" placeholder="find in the log ( L )" aria-label="find in the log" defaultValue={text}
          onInput={(e) => refine({ lq: e.currentTarget.value })}
          onKeyDown={(e) => { if (e.key === "Enter") void search.find(!e.shiftKey); }} />
        {search.said && <span role="status" class="soft">{search.said}</span>}
        <label><input type="checkbox" checked={wrap} onChange={() => refine({ wrap: wrap ? "no" : undefined })} /> wrap</label>
        {file.from > 0 && <button onClick={() => { refine({ at: undefined }); void log.openAt(0); }}>Start</button>}
        {!file.atEnd && <button onClick={() => { refine({ at: undefined }); void log.openEnd(); }}>End</button>}
        <span class="soft size">{bytes(file.size)}{props.live ? ", live" : ""}</span>
        <a href={file.size > WHOLE_MAX ? `${props.path}&follow=true` : props.path} download={props.name}>Download</a>
      </div>
      {log.error && <p class="problem" role="alert">{log.error}</p>}
      <div ref={log.box} class={`lines ${wrap ? "wrap" : ""}`} tabIndex={0} role="log" aria-label="log" aria-live="off" onScroll={log.onScroll}>
        {file.from > 0 && <p class="soft edge">{bytes(file.from)} before this</p>}
        {file.blocks.map((block) => <BlockLines key={block.from} block={block} text={text.toLowerCase()} at={at} />)}
        {log.opened && file.size === 0 && <p class="empty">{props.live ? "nothing yet" : "it wrote nothing"}</p>}
        {!file.atEnd && <p class="soft edge">{bytes(file.size - file.to)} after this</p>}
      </div>
    </div>
  );
}

function BlockLines({ block, text, at }: { block: Block; text: string; at: number }) {
  const mine = at >= block.from && at < block.to ? at : -1;
  return useMemo(
    () => <div>{block.lines.map((line, i) => <LogLine key={line.at} line={line} number={block.first === null ? null : block.first + i} text={text} current={line.at === mine} />)}</div>,
    [block, text, mine]);
}

function LogLine({ line, number, text, current }: { line: Line; number: number | null; text: string; current: boolean }) {
  const isHit = text !== "" && line.text.toLowerCase().includes(text);
  return (
    <div class={`${current ? "current" : ""} ${isHit ? "hit" : ""}`} data-at={line.at}>
      <a class="number" href={here({ at: String(line.at) })} tabIndex={-1} aria-label={`link to line ${number ?? `at byte ${line.at}`}`}
        onClick={(e) => { e.preventDefault(); refine({ at: String(line.at) }); }}>{number ?? "·"}</a>
      <span class="text">{pieces(line.text).map((piece, i) => <Styled key={i} piece={piece} text={text} />)}{"\n"}</span>
    </div>
  );
}

function Styled({ piece, text }: { piece: Piece; text: string }) {
  const style = piece.colour || piece.background ? { color: piece.colour, backgroundColor: piece.background } : undefined;
  return <span class={piece.classes} {...(style ? { style } : {})}>{text ? marked(piece.text, text) : piece.text}</span>;
}

function marked(text: string, wanted: string) {
  const parts = [];
  const low = text.toLowerCase();
  let rest = 0;
  for (let at = low.indexOf(wanted); at >= 0; at = low.indexOf(wanted, rest)) {
    parts.push(text.slice(rest, at), <mark key={at}>{text.slice(at, at + wanted.length)}</mark>);
    rest = at + wanted.length;
  }
  return [...parts, text.slice(rest)];
}
