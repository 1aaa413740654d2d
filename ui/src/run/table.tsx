// The tasks as text: the same as the graph and the timeline for whoever listens, sorts or copies.
import { bytes, duration, seconds } from "../core/format";
import { here, go, wanted } from "../core/route";
import type { Task } from "../core/types";
import { type Column, List } from "../parts/list";
import { Select } from "../parts/parts";
import { State } from "../parts/state";
import { runMs, waitMs } from "./model";
import type { Shown } from "./page";
import { useSorted } from "./sorted";

const columns: Column[] = [
  { name: "State", width: "112px" },
  { name: "Task", width: "minmax(110px, 2fr)" },
  { name: "Tries", width: "44px", right: true, minor: true },
  { name: "Waited", width: "76px", right: true, minor: true },
  { name: "Ran", width: "76px", right: true },
  { name: "CPU", width: "72px", right: true, minor: true, extra: true },
  { name: "Memory", width: "72px", right: true, minor: true, extra: true },
  { name: "Cause", width: "minmax(60px, 2fr)", minor: true },
];

const sorts: Record<string, (task: Task) => number | string> = {
  waited: (task) => -(waitMs(task, Date.now()) ?? -1),
  ran: (task) => -(runMs(task, Date.now()) ?? -1),
  cpu: (task) => -(task.cpuSeconds ?? -1),
  memory: (task) => -(task.maxRssBytes ?? -1),
  name: (task) => task.name,
};

const asGiven = () => 0;

export function TaskTable({ tasks, selected, critical, choose }: Shown) {
  const by = wanted("sort");
  const sorted = useSorted(tasks, sorts[by] ?? asGiven);
  const wait = (task: Task) => waitMs(task), ran = (task: Task) => (task.keptFrom ? null : runMs(task));
  return (
    <>
      <div class="above">
        <Select label="Order" value={by} choose={(sort) => go(here({ sort }))}
          options={[["", "as in the DAG"], ["waited", "longest wait"], ["ran", "longest run"], ["cpu", "most CPU"], ["memory", "most memory"], ["name", "name"]]} />
      </div>
      <List label="tasks" items={sorted} id={(task) => task.taskId} columns={columns} current={selected?.taskId} open={choose} height={28}
        row={(task) => [
          <State state={task.state} />,
          <span class="name" title={task.taskId}>{critical.has(task.taskId) && <span class="path" title="on the critical path">▸<span class="sr">on the critical path</span></span>}{task.name}</span>,
          task.attempt || "",
          wait(task) === null ? "" : duration(wait(task)!),
          ran(task) === null ? "" : duration(ran(task)!),
          seconds(task.cpuSeconds),
          task.maxRssBytes ? bytes(task.maxRssBytes) : "",
          task.error ? <span class="cause" title={task.error}>{task.error}</span> : task.keptFrom ? <span class="soft">kept</span> : "",
        ]} />
    </>
  );
}
