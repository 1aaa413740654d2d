// Small pieces that every view uses.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { absolute as showsAbsolute, at, brief, relative, short } from "../core/format";
import { here } from "../core/route";
import { me } from "../core/session";
import { quoted } from "../core/shell";

export function Time({ time }: { time: string | null | undefined }) {
  return time ? <time dateTime={time} title={at(time)}>{showsAbsolute.value ? brief(time) : relative(time)}</time> : <span class="soft">–</span>;
}

export function Id({ id, href }: { id: string; href?: string }) {
  const text = <code title={id}>{short(id)}</code>;
  return href ? <a href={href}>{text}</a> : text;
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

export function Problem({ error }: { error?: Error | undefined }) {
  return error ? <p class="problem" role="alert">{error.message}</p> : null;
}

// ---- what came of an action ----

export const notice = signal<{ text: string; bad: boolean; href?: string | undefined } | null>(null);

// Tells the outcome of an action. True when it succeeded.
export async function attempt(done: string, action: () => Promise<unknown>): Promise<boolean> {
  try {
    const said = await action();
    notice.value = { text: typeof said === "string" ? said : done, bad: false };
    return true;
  } catch (problem) {
    notice.value = { text: (problem as Error).message, bad: true };
    return false;
  }
}

export function Notice() {
  const shown = notice.value;
  useEffect(() => {
    if (!shown || shown.bad) return;
    const timer = setTimeout(() => (notice.value = null), 5000);
    return () => clearTimeout(timer);
  }, [shown]);
  return (
    <div role="status" aria-live="polite">
      {shown && (
        <div class={`notice ${shown.bad ? "bad" : ""}`}>
          <span>{shown.text}</span>
          <button class="quiet" onClick={() => (notice.value = null)} aria-label="Dismiss">×</button>
        </div>
      )}
    </div>
  );
}

// ---- actions ----

// A destructive act names what it hits, and asks in place instead of by a dialog.
export function Confirm({ label, question, act, disabled }: {
  label: string; question: string; act: () => void; disabled?: boolean;
}) {
  const [asking, setAsking] = useState(false);
  const yes = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (asking) yes.current?.focus();
  }, [asking]);
  if (!asking) return <button disabled={disabled} onClick={() => setAsking(true)}>{label}</button>;
  return (
    <span class="confirm" role="group" aria-label={question} onKeyDown={(e) => e.key === "Escape" && setAsking(false)}>
      <span>{question}</span>
      <button ref={yes} class="danger" onClick={() => { setAsking(false); act(); }}>Yes, {label.toLowerCase()}</button>
      <button onClick={() => setAsking(false)}>No</button>
    </span>
  );
}

// ---- the same by other means ----

// What the page shows, as commands to copy.
export function Commands({ cli, curl }: { cli: string; curl: string }) {
  return (
    <section class="commands" aria-label="the same on a terminal">
      <Copy text={onThisMachine || cli.startsWith("pawl serve") ? cli : `${cli} --server ${absolute("./").replace(/\/$/, "")}`} />
      <Copy text={`curl -s ${me.value?.tokenRequired ? '-H "Authorization: Bearer $PAWL_TOKEN" ' : ""}${curl.startsWith("-") ? curl : quoted(absolute(curl))}`} />
    </section>
  );
}

const onThisMachine = /^(localhost|127\.|\[::1\])/.test(location.hostname);

export function absolute(path: string): string {
  return new URL(path, document.baseURI).href;
}

function Copy({ text }: { text: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await copyText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <span class="copy">
      <code title={text}>{text}</code>
      <button class="quiet" onClick={() => void copy()} aria-label={`copy: ${text}`}>{copied ? "copied" : "copy"}</button>
    </span>
  );
}

// The clipboard of browsers is there for secure addresses only; a plain http one takes the old way.
export async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

// ---- choices ----

export function Tabs({ name, value, tabs }: { name: string; value: string; tabs: [value: string, label: string][] }) {
  return (
    <nav class="tabs" aria-label={name}>
      {tabs.map(([own, label]) => (
        <a key={own} href={here({ [name]: own })} aria-current={own === value ? "true" : undefined}>{label}</a>
      ))}
    </nav>
  );
}

export function Select({ label, value, options, choose }: {
  label: string; value: string; options: [value: string, label: string][]; choose: (value: string) => void;
}) {
  return (
    <label class="field"><span>{label}</span>
      <select value={value} onChange={(e) => choose(e.currentTarget.value)}>
        {options.map(([own, text]) => <option key={own} value={own} selected={own === value}>{text}</option>)}
      </select>
    </label>
  );
}

// Tells of what was typed when the typing pauses.
export function Search({ label, value, change, find }: { label: string; value: string; change: (value: string) => void; find?: boolean }) {
  const timer = useRef<ReturnType<typeof setTimeout>>();
  return (
    <input type="search" autocomplete="off" placeholder={find ? `${label}  ( / )` : label} aria-label={label} defaultValue={value} key={label} {...(find ? { "data-find": "" } : {})}
      onInput={(e) => {
        const text = e.currentTarget.value;
        clearTimeout(timer.current);
        timer.current = setTimeout(() => change(text), 200);
      }} />
  );
}

// ---- the page's frame ----

export function Title({ text }: { text: string }) {
  useEffect(() => {
    document.title = `${text} · pawl`;
  }, [text]);
  return null;
}
