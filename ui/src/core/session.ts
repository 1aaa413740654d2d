// Who reads this and what they may do. The server decides; the page only hides what would be refused.
import { signal } from "@preact/signals";
import { onRefused, get, post, remove } from "./api";
import { refused, restart } from "./events";
import type { Me, Role } from "./types";

export const me = signal<Me | null>(null); // null: not known yet

const rank: Record<Role, number> = { viewer: 1, operator: 2, admin: 3 };

export function may(role: Role): boolean {
  const own = me.value?.role;
  return own ? rank[own] >= rank[role] : false;
}

function take(known: Me): void {
  const changed = me.peek() !== null && me.peek()!.role !== known.role;
  me.value = known;
  refused.value = known.role === null;
  if (changed || refused.value) restart();
}

export async function learn(): Promise<void> {
  try {
    take(await get<Me>("api/v1/me"));
  } catch {
    // The stale mark tells it; the next start of the stream or a reload asks again.
  }
}

export async function signIn(token: string): Promise<void> {
  take(await post<Me>("session", { token }));
}

export async function signOut(): Promise<void> {
  await remove("session");
  await learn();
}

onRefused.listener = (status) => {
  if (status === 401 && me.peek()?.role) void learn();
};
