// Loading what a view shows.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

export interface Loaded<T> {
  value: T | undefined;
  error: Error | undefined;
  loading: boolean;
  again: () => void;
}

// Loads when `key` changes and when asked again. A failed second try keeps what was there: old facts with the stale
// mark beat an empty page. It asks as soon as the view is made, not only once that has been painted.
export function useLoad<T>(key: string, load: (abort: AbortSignal) => Promise<T>): Loaded<T> {
  const [state, setState] = useState<{ key?: string; value?: T | undefined; error?: Error | undefined }>({});
  const [turn, setTurn] = useState(0);
  const busy = useRef(false);
  useLayoutEffect(() => {
    const abort = new AbortController();
    busy.current = true;
    load(abort.signal).then(
      (value) => {
        if (abort.signal.aborted) return;
        busy.current = false;
        setState({ key, value });
      },
      (error) => {
        if (abort.signal.aborted) return;
        busy.current = false;
        setState((before) => ({ key, value: before.key === key ? before.value : undefined, error }));
      },
    );
    return () => abort.abort();
  }, [key, turn]);
  const current = state.key === key;
  return {
    value: current ? state.value : undefined,
    error: current ? state.error : undefined,
    loading: !current,
    again: () => setTurn((n) => n + 1),
  };
}

// Calls `act` at most once in `ms`, the last time for sure: for views that load anew when something changed.
export function useThrottled(act: () => void, ms: number): () => void {
  const latest = useRef(act);
  latest.current = act;
  const timer = useRef<ReturnType<typeof setTimeout>>();
  useEffect(() => () => clearTimeout(timer.current), []);
  return () => {
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      latest.current();
    }, ms);
  };
}
