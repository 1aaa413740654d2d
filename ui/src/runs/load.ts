// The runs of a filter: pages from the server, newest first, and on top of them what the event stream tells.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { getPage } from "../core/api";
import { listen } from "../core/events";
import type { Run } from "../core/types";
import { type RunFilter, apiPath, matches } from "./filter";
import { merge } from "./merge";

const PAGE = 200;
const GATHER_MS = 150;

export interface RunList {
  runs: Run[];
  loading: boolean;
  error: Error | undefined;
  more: boolean;
  loadMore: () => void;
}

interface State {
  known: Run[]; // newest first
  next: string | null;
  loading: boolean;
  error?: Error | undefined;
}

export function firstPath(filter: RunFilter): string {
  return apiPath(filter, { limit: PAGE });
}

export function useRuns(filter: RunFilter, key: string): RunList {
  const [state, setState] = useState<State>({ known: [], next: null, loading: true });
  const busy = useRef<AbortController>();
  const load = async (before?: string) => {
    if (before && busy.current) return;
    busy.current?.abort();
    const abort = (busy.current = new AbortController());
    try {
      const page = await getPage<Run>(apiPath(filter, { limit: PAGE, ...(before ? { before } : {}) }), abort.signal);
      setState((old) => ({ known: before ? [...old.known, ...page.items] : page.items, next: page.next, loading: false }));
    } catch (error) {
      if (!abort.signal.aborted) setState((old) => ({ ...old, loading: false, error: error as Error }));
    }
    if (busy.current === abort) busy.current = undefined!;
  };
  useLayoutEffect(() => {
    setState((old) => ({ ...old, loading: true }));
    void load();
    let changed = new Map<string, Run>();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const apply = () => {
      timer = undefined;
      const now = changed;
      changed = new Map();
      setState((old) => ({ ...old, known: merge(old.known, now, (run) => matches(filter, run)) }));
    };
    const stop = listen((event) => {
      if (event.name === "reset") void load();
      if (event.name !== "run") return;
      changed.set(event.data.runId, event.data);
      timer ??= setTimeout(apply, GATHER_MS);
    });
    return () => {
      stop();
      clearTimeout(timer);
      busy.current?.abort();
      busy.current = undefined!;
    };
  }, [key]);
  return {
    runs: state.known, loading: state.loading, error: state.error, more: state.next !== null,
    loadMore: () => { if (state.next) void load(state.next); },
  };
}
