// What changed between two texts.
import { useMemo } from "preact/hooks";
import { diffLines, withContext } from "../core/diff";

const signs = { same: " ", gone: "−", new: "+" };

export function Diff({ before, after, label }: { before: string; after: string; label: string }) {
  const lines = useMemo(() => diffLines(before, after), [before, after]);
  const gone = lines.filter((line) => line.kind === "gone").length, added = lines.filter((line) => line.kind === "new").length;
  if (!gone && !added) return <p class="soft">Nothing differs.</p>;
  return (
    <>
      <p class="soft">{label}: {added} lines added, {gone} removed</p>
      <div class="diff" tabIndex={0} role="region" aria-label={label}>
        {withContext(lines).map((line, i) => line === null
          ? <div key={i} class="skip" aria-hidden="true">⋯</div>
          : <div key={i} class={line.kind}><span class="number">{line.before ?? ""}</span><span class="number">{line.after ?? ""}</span><span class="sign">{signs[line.kind]}</span><span>{line.text}</span></div>)}
      </div>
    </>
  );
}
