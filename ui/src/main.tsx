import "./style/base.css";
import "./style/parts.css";
import "./style/views.css";
import { render } from "preact";
import { App } from "./app";
import { start } from "./core/events";
import { startKeys } from "./core/keys";
import { learn } from "./core/session";

void learn();
start();
startKeys();
render(<App />, document.getElementById("app")!);
