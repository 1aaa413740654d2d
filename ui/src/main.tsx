import "./style/base.css";
import "./style/parts.css";
import "./style/views.css";
import { render } from "preact";
import { App } from "./app";
import { askAhead } from "./core/api";
import { start } from "./core/events";
import { startKeys } from "./core/keys";
import { page, route } from "./core/route";
import { learn } from "./core/session";
import { statusPath } from "./run/model";
import { readFilter } from "./runs/filter";
import { firstPath } from "./runs/load";

const [, runId] = route.peek().path;
if (page.peek() === "run" && runId) askAhead(statusPath(runId));
else if (page.peek() === "runs") askAhead(firstPath(readFilter(route.peek().query)));
void learn();
startKeys();
render(<App />, document.getElementById("app")!);
// What changes is of interest once there is something to be seen.
if ("requestIdleCallback" in self) requestIdleCallback(start, { timeout: 500 });
else setTimeout(start, 100);
