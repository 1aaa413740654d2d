// Times, durations and sizes as people read them.
import { signal } from "@preact/signals";

// The present, for running durations; stands still while the page is hidden.
export const now = signal(Date.now());
setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1000);

export function duration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const s = ms / 1000;
  if (s < 60) return `${s.toFixed(1)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} m ${Math.floor(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} m`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export function between(from: string | null, to: string | null): string {
  if (!from) return "";
  return duration((to ? Date.parse(to) : now.value) - Date.parse(from));
}

export function ago(time: string | null): string {
  if (!time) return "";
  const ms = now.value - Date.parse(time);
  return ms < 5000 ? "just now" : `${duration(ms).replace(/ \d+ s$/, "").replace(/\.\d s$/, " s")} ago`;
}

const absolute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

export function at(time: string | null): string {
  return time ? absolute.format(new Date(time)) : "";
}

export function bytes(n: number): string {
  const units = ["B", "kB", "MB", "GB"];
  let unit = 0;
  while (n >= 1000 && unit < units.length - 1) {
    n /= 1000;
    unit++;
  }
  return `${unit && n < 10 ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
}

export function short(id: string): string {
  return id.slice(-8);
}
