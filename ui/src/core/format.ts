// Times, durations and sizes as people read them.
import { signal } from "@preact/signals";

// The present, for running durations; stands still while the page is hidden.
export const now = signal(Date.now());
setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1000);
document.addEventListener("visibilitychange", () => (now.value = Date.now()));

// Times of lists as they are instead of how long ago; remembered as a taste, not a place.
const TASTE = "pawl-times";
export const absolute = signal(typeof localStorage !== "undefined" && localStorage.getItem(TASTE) === "absolute");

export function toggleAbsolute(): void {
  absolute.value = !absolute.value;
  localStorage.setItem(TASTE, absolute.value ? "absolute" : "relative");
}

export function duration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const s = ms / 1000;
  if (s < 60) return `${s.toFixed(1)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} m ${Math.floor(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} m`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export function seconds(s: number | null | undefined): string {
  return s === null || s === undefined ? "" : duration(s * 1000);
}

export function between(from: string | null, to: string | null): string {
  if (!from) return "";
  return duration((to ? Date.parse(to) : Math.max(now.value, Date.parse(from))) - Date.parse(from));
}

// One unit is enough at a distance: "3 m ago", "in 2 h".
export function relative(time: string): string {
  const ms = Date.parse(time) - now.value;
  if (Math.abs(ms) < 5000) return "just now";
  const text = rough(Math.abs(ms));
  return ms < 0 ? `${text} ago` : `in ${text}`;
}

function rough(ms: number): string {
  const units: [number, string][] = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "m"], [1000, "s"]];
  const [size, name] = units.find(([size]) => ms >= size) ?? [1000, "s"];
  return `${Math.floor(ms / size)} ${name}`;
}

// Dates are put together here: the first use of Intl costs a page 30 to 60 ms.
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function two(n: number): string {
  return String(n).padStart(2, "0");
}

function day(date: Date): string {
  return `${two(date.getDate())} ${months[date.getMonth()]}`;
}

function clock(date: Date): string {
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

// By its distance, which says more to most people than a name: "UTC", "UTC+1", "UTC-3:30".
function zoneOf(date: Date): string {
  const minutes = -date.getTimezoneOffset(), size = Math.abs(minutes);
  if (!minutes) return "UTC";
  return `UTC${minutes < 0 ? "-" : "+"}${Math.floor(size / 60)}${size % 60 ? `:${two(size % 60)}` : ""}`;
}

let zoneName: string | undefined;

// The reader's, by name.
export function zone(): string {
  return (zoneName ??= Intl.DateTimeFormat().resolvedOptions().timeZone);
}

// For lists that are sorted before the first paint, as above without Intl.
export function byName(a: string, b: string): number {
  const x = a.toLowerCase(), y = b.toLowerCase();
  return x < y ? -1 : x > y ? 1 : 0;
}

// With the zone.
export function local(time: string): string {
  const date = new Date(time);
  return `${day(date)} ${date.getFullYear()}, ${clock(date)} ${zoneOf(date)}`;
}

// The same, and in UTC for whoever compares with a log.
export function at(time: string | null): string {
  return time ? `${local(time)} (${time.slice(0, 19)}Z)` : "";
}

export function brief(time: string): string {
  const date = new Date(time);
  return `${day(date)} ${clock(date)}`;
}

export function bytes(n: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (n >= 1000 && unit < units.length - 1) {
    n /= 1000;
    unit++;
  }
  return `${unit && n < 10 ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
}

export function grouped(n: number): string {
  return String(n).replace(/\B(?=(\d{3})+$)/g, ",");
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${grouped(n)} ${n === 1 ? one : many}`;
}

export function short(id: string): string {
  return id.slice(-8);
}
