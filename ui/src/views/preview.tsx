// The graph of what is being written, whenever it is valid.
import { useEffect, useState } from "preact/hooks";
import { post } from "../core/api";
import type { Graph, Verdict } from "../core/types";
import { PlainGraph } from "./dag-graph";

export function GraphPreview({ yaml, verdict }: { yaml: string; verdict: Verdict | undefined }) {
  const [graph, setGraph] = useState<Graph>();
  useEffect(() => {
    if (!verdict?.valid) return;
    let current = true;
    post<Graph>("api/v1/dags/graph", { yaml }).then((found) => current && setGraph(found), () => undefined);
    return () => {
      current = false;
    };
  }, [verdict]);
  if (!graph) return <p class="empty">{verdict?.valid === false ? "The graph comes when the file is valid." : "…"}</p>;
  return <div class={verdict?.valid ? "preview" : "preview old"}>{!verdict?.valid && <p class="soft">as it was when it was valid</p>}<PlainGraph graph={graph} /></div>;
}
