// The views that are not needed at first: a script of their own, loaded when one of them is opened.
export { DagPage } from "./dag";
export { NewDag } from "./new";
export { Schedule } from "./schedule";
export { System } from "./system";
export { Workers } from "./workers";
