// A log by byte ranges: the last piece first, older ones on demand, so that the size of the log does not matter; while
// the attempt runs its growth is streamed. Everything is text; of ANSI sequences colours are shown and the rest dropped.
import { useEffect, useRef, useState } from "preact/hooks";
import { logPiece } from "./api";
import { bytes } from "./format";

const PIECE = 256 * 1024;
const KEPT = 4 * 1024 * 1024;

interface Styled {
  text: string;
  style: string;
}

export function ansi(line: string): Styled[] {
  const out: Styled[] = [];
  let style = "";
  let rest = 0;
  for (const found of line.matchAll(/\x1b\[([0-9;]*)([A-Za-z])|\x1b[^[]?/g)) {
    if (found.index > rest) out.push({ text: line.slice(rest, found.index), style });
    rest = found.index + found[0].length;
    if (found[2] !== "m") continue;
    for (const code of (found[1] || "0").split(";").map(Number)) {
      if (code === 0) style = "";
      else if (code === 1) style += " b";
      else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) style = style.replace(/ c\d+/, "") + ` c${code % 10}`;
      else if (code === 39) style = style.replace(/ c\d+/, "");
    }
  }
  if (rest < line.length) out.push({ text: line.slice(rest), style });
  return out;
}

export function Log({ path, live }: { path: string; live: boolean }) {
  const [text, setText] = useState("");
  const [from, setFrom] = useState(0);
  const [size, setSize] = useState(0);
  const [wrap, setWrap] = useState(true);
  const [find, setFind] = useState("");
  const [problem, setProblem] = useState("");
  const box = useRef<HTMLPreElement>(null);
  const atEnd = useRef(true);

  useEffect(() => {
    const abort = new AbortController();
    void (async () => {
      try {
        const head = await logPiece(path, 0, 1);
        const start = Math.max(0, head.size - PIECE);
        const decoder = new TextDecoder();
        if (!live) {
          const piece = head.size ? await logPiece(path, start, PIECE) : { text: new Uint8Array(), size: 0 };
          setText(decoder.decode(piece.text));
          setFrom(start);
          setSize(piece.size);
          return;
        }
        const answer = await fetch(`${path}&follow=true&offset=${start}`, { signal: abort.signal });
        const reader = answer.body!.getReader();
        setFrom(start);
        let all = "";
        for (let got = start; ;) {
          const { value, done } = await reader.read();
          if (done) break;
          got += value.length;
          all = (all + decoder.decode(value, { stream: true })).slice(-KEPT);
          setText(all);
          setSize(got);
        }
      } catch (error) {
        if (!abort.signal.aborted) setProblem((error as Error).message);
      }
    })();
    return () => abort.abort();
  }, [path, live]);

  useEffect(() => {
    if (atEnd.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [text]);

  const older = async () => {
    const start = Math.max(0, from - PIECE);
    const piece = await logPiece(path, start, from - start);
    setText(new TextDecoder().decode(piece.text) + text);
    setFrom(start);
  };

  const lines = text.split("\n");
  if (lines[lines.length - 1] === "") lines.pop();
  const wanted = find.toLowerCase();
  const hits = wanted ? lines.filter((line) => line.toLowerCase().includes(wanted)).length : 0;
  return (
    <div class="log">
      <div class="bar">
        <input type="search" placeholder="find in the log" aria-label="find in the log" value={find} onInput={(e) => setFind(e.currentTarget.value)} />
        {wanted && <span>{hits} lines</span>}
        <label><input type="checkbox" checked={wrap} onChange={() => setWrap(!wrap)} /> wrap</label>
        <a href={path} download>download</a> <span class="none">{bytes(size)}{live ? ", live" : ""}</span>
      </div>
      {problem && <p class="problem">{problem}</p>}
      {from > 0 && <button onClick={() => void older()}>{bytes(from)} before this</button>}
      <pre ref={box} class={wrap ? "wrap" : ""} tabIndex={0} aria-label="log"
        onScroll={(e) => { const el = e.currentTarget; atEnd.current = el.scrollHeight - el.scrollTop - el.clientHeight < 40; }}>
        {lines.length === 0 ? <span class="none">{live ? "nothing yet" : "it wrote nothing"}</span>
          : lines.slice(-20000).map((line, i) => (
            <div key={i} class={wanted && line.toLowerCase().includes(wanted) ? "hit" : ""}>
              {ansi(line).map((piece, k) => <span key={k} class={piece.style}>{piece.text}</span>)}{"\n"}
            </div>
          ))}
      </pre>
    </div>
  );
}
