// Tasks in an order. What has not moved is not sorted again: of thousands that change, few change their place.
import { useRef } from "preact/hooks";
import type { Task } from "../core/types";

type Key = (task: Task) => string | number;

function isInOrder(tasks: Task[], key: Key): boolean {
  let before = tasks.length ? key(tasks[0]!) : "";
  for (const task of tasks) {
    const now = key(task);
    if (now < before) return false;
    before = now;
  }
  return true;
}

// Each key is taken once.
function sortedBy(tasks: Task[], key: Key): Task[] {
  if (isInOrder(tasks, key)) return tasks;
  const keyed = tasks.map((task) => ({ task, key: key(task) }));
  keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return keyed.map(({ task }) => task);
}

// `key` is the same function while the order is the same.
export function useSorted(tasks: Task[], key: Key): Task[] {
  const last = useRef<{ from: Task[]; key: Key; sorted: Task[] }>();
  const known = last.current;
  const isSame = known && known.key === key && known.from.length === tasks.length && known.from.every((task, i) => task === tasks[i]);
  if (isSame && isInOrder(known.sorted, key)) return known.sorted;
  const sorted = sortedBy(tasks, key);
  last.current = { from: tasks, key, sorted };
  return sorted;
}
