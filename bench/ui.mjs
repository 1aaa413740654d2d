// The web UI in a browser, measured:  node bench/ui.mjs MEASURE < JSON
// MEASURE is first-paint, list, run or live; what it needs comes on stdin, its figures go to stdout as one line of JSON.
// Everything is taken from inside the page, by its own clock, and beside it the same of a page that does nothing.
import { createServer, request } from "node:http";
import { Watched, launch } from "../tests/ui/browser.mjs";

const DROPPED_MS = 25; // one frame at 60 Hz and a half: between two frames so far apart at least one was missed
const VIEW = { width: 1360, height: 860 };
const WINDOW_MS = 300;

// Each new window of Chromium makes the two pages of its address bar's list ready, which takes a quarter of a second of
// a processor beside whatever is measured: they are off. The rest is what playwright turns off by the same option, whose
// last value counts, and what would meddle here.
const OPTIONS = ["--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,HttpsUpgrades,MediaRouter,OptimizationHints,PaintHolding"];

// ---- a page that does nothing ----

async function serve(answer) {
  const server = createServer(answer);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { origin: `http://127.0.0.1:${server.address().port}`, close: () => { server.closeAllConnections(); server.close(); } };
}

const blankPage = "<!doctype html><title>blank</title><link rel=icon href=data:,><p>blank</p><canvas width=1300 height=700></canvas>";
const blank = () => serve((_, answer) => answer.writeHead(200, { "Content-Type": "text/html" }).end(blankPage));

// ---- measures inside a page ----

// Waits until what the selector names is there, and gives the time of the frame after the one that shows it.
const shown = (page, selector) => page.evaluate((wanted) => new Promise((found) => {
  const look = () => {
    if (!document.querySelector(wanted)) return requestAnimationFrame(look);
    requestAnimationFrame(() => found(performance.now()));
  };
  look();
}), selector);

// The gaps between frames while `act` goes on, in ms.
async function gaps(page, act) {
  await page.evaluate(() => {
    const taken = (globalThis.frameGaps = []);
    let before = 0;
    const frame = (now) => {
      if (before) taken.push(now - before);
      before = now;
      if (globalThis.frameGaps === taken) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  await act();
  return page.evaluate(() => { const taken = globalThis.frameGaps; globalThis.frameGaps = null; return taken; });
}

const percentile = (values, share) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))];
const frames = (taken) => ({ p50: percentile(taken, 0.5), p95: percentile(taken, 0.95), worst: Math.max(...taken), count: taken.length, dropped: taken.filter((gap) => gap > DROPPED_MS).length });

async function heapBytes(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  await session.detach();
  return usedSize;
}

// ---- the measures ----

async function firstPaint({ origin, rounds }, world) {
  const empty = await blank();
  world.watched.origins.add(empty.origin);
  const measure = async (address) => {
    const page = await world.page(address); // a browser context of its own: nothing is kept
    const paint = await page.evaluate(() => new Promise((found) => {
      new PerformanceObserver((list, observer) => {
        const entry = list.getEntriesByName("first-contentful-paint")[0];
        if (!entry) return;
        observer.disconnect();
        found(entry.startTime);
      }).observe({ type: "paint", buffered: true });
    }));
    await page.context().close();
    return paint;
  };
  const out = { pawl: [], blank: [] };
  for (let i = 0; i <= rounds; i++) {
    const [pawl, nothing] = [await measure(`${origin}/`), await measure(empty.origin)];
    if (i) { out.pawl.push(pawl); out.blank.push(nothing); }
  }
  empty.close();
  return out;
}

// From the click on "Runs" to the frame that shows the rows: of a large store and of a small one in turn.
async function list({ large, small, rounds }, world) {
  const out = { large: [], small: [], filtered: [] };
  const pages = { large: await world.page(`${large}/#/schedule`), small: await world.page(`${small}/#/schedule`) };
  const measure = async (page, hash) => {
    await page.evaluate(() => { location.hash = "#/schedule"; });
    await page.getByRole("heading", { name: "Schedule", level: 1 }).waitFor();
    const began = await page.evaluate((to) => { const now = performance.now(); location.hash = to; return now; }, hash);
    return (await shown(page, "[role=table][aria-label=runs] [data-row]")) - began;
  };
  for (let i = 0; i <= rounds; i++) {
    const figures = { large: await measure(pages.large, "#/runs"), small: await measure(pages.small, "#/runs"), filtered: await measure(pages.large, "#/runs?state=failed") };
    if (i) for (const name of Object.keys(out)) out[name].push(figures[name]);
  }
  return out;
}

// A run of thousands of tasks: until its page can be used, until its graph is drawn, dragging it, what it weighs.
async function run({ origin, runId, rounds }, world) {
  const out = { usable: [], drawn: [], pan: [], blankPan: [], heap: [] };
  const empty = await blank();
  world.watched.origins.add(empty.origin);
  const drag = (page) => gaps(page, async () => {
    await page.mouse.move(680, 480);
    await page.mouse.down();
    for (const [x, y] of [[280, 380], [980, 560], [480, 320], [680, 480]]) await page.mouse.move(x, y, { steps: 45 });
    await page.mouse.up();
  });
  for (let i = 0; i <= rounds; i++) {
    const page = await world.page(`${origin}/#/run/${runId}`);
    const usable = await usableAt(page);
    await page.context().close();
    const graph = await world.page(`${origin}/#/run/${runId}?view=graph&task=-`);
    const drawn = await shown(graph, "canvas[data-scale]:not([aria-busy=true])");
    await graph.getByRole("button", { name: "zoom in" }).click();
    await shown(graph, "canvas:not([aria-busy=true])");
    const pan = await drag(graph), heap = await heapBytes(graph);
    await graph.context().close();
    const nothing = await world.page(empty.origin);
    const blankPan = await drag(nothing);
    await nothing.context().close();
    if (i) { out.usable.push(usable); out.drawn.push(drawn); out.pan.push(frames(pan)); out.blankPan.push(frames(blankPan)); out.heap.push(heap); }
  }
  empty.close();
  return out;
}

// Usable: the tasks are there, and a key that is pressed as soon as they are has moved the focus to one of them.
const usableAt = (page) => page.evaluate(() => new Promise((found) => {
  const used = () => (document.activeElement?.closest("[data-row]") ? requestAnimationFrame(() => found(performance.now())) : requestAnimationFrame(used));
  const look = () => {
    if (!document.querySelector("[role=table][aria-label=timeline] [data-row]")) return requestAnimationFrame(look);
    requestAnimationFrame(() => {
      document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "j", bubbles: true }));
      used();
    });
  };
  look();
}));

// Every task of a run changes its state so often a second. The daemon gives the page and the run; the events are made
// here in its words, since no machine starts tasks so fast.
async function live({ origin, runId, hz, seconds, rounds }, world) {
  const status = await (await fetch(`${origin}/api/v1/runs/${runId}`)).json();
  const feed = await feeding(origin, status, hz);
  const empty = await blank();
  world.watched.origins.add(feed.origin);
  world.watched.origins.add(empty.origin);
  const out = { graph: [], timeline: [], blank: [], heap: [], told: 0, bytes: feed.bytes };
  const rest = (page) => page.evaluate((ms) => new Promise((resolve) => setTimeout(resolve, ms)), seconds * 1000);
  const measure = async (address, selector) => {
    const page = await world.page(address);
    await shown(page, selector);
    feed.begin();
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 1000)));
    const taken = frames(await gaps(page, () => rest(page)));
    feed.end();
    return { taken, page };
  };
  for (let i = 0; i <= rounds; i++) {
    const graph = await measure(`${feed.origin}/#/run/${runId}?view=graph&task=-`, "canvas[data-scale]:not([aria-busy=true])");
    const heap = await heapBytes(graph.page);
    await graph.page.context().close();
    const timeline = await measure(`${feed.origin}/#/run/${runId}?task=-`, "[role=table][aria-label=timeline] [data-row]");
    await timeline.page.context().close();
    const nothing = await world.page(empty.origin);
    const bare = frames(await gaps(nothing, () => rest(nothing)));
    await nothing.context().close();
    if (i) { out.graph.push(graph.taken); out.timeline.push(timeline.taken); out.blank.push(bare); out.heap.push(heap); }
  }
  out.told = feed.told();
  empty.close();
  feed.close();
  return out;
}

const states = ["running", "succeeded", "queued", "failed"];

const FIRST_ATTEMPT = 1000; // all that are told have as many digits, so that they can be written into their places

// All tasks as the daemon's stream would tell them, in one of the turns of their states, and where their attempts stand.
function phaseOf(status, phase) {
  const bytes = Buffer.from(status.tasks.map((task, i) => {
    const told = { runId: status.runId, ...task, state: states[(i + phase) % states.length], attempt: FIRST_ATTEMPT };
    return `id: 1-1\nevent: task\ndata: ${JSON.stringify(told)}\n\n`;
  }).join(""));
  const places = [], word = `"attempt":${FIRST_ATTEMPT}`;
  for (let at = bytes.indexOf(word); at >= 0; at = bytes.indexOf(word, at + 1)) places.push(at + word.length - 4);
  return { bytes, places };
}

// An attempt only goes on, so each turn has another number.
function turnOf({ bytes, places }, turn) {
  const out = Buffer.from(bytes), digits = Buffer.from(String(FIRST_ATTEMPT + turn));
  for (const place of places) digits.copy(out, place);
  return out;
}

async function feeding(origin, status, hz) {
  const phases = states.map((_, i) => phaseOf(status, i));
  const readers = new Set();
  let timer, told = 0, turn = 0;
  const stream = (answer) => {
    answer.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    answer.write(": here\n\n");
    readers.add(answer);
    answer.on("close", () => readers.delete(answer));
  };
  const server = await serve((ask, answer) => {
    if (ask.url === "/api/v1/events") return stream(answer);
    const { host, origin: from, ...headers } = ask.headers;
    request(origin + ask.url, { method: ask.method, headers: { ...headers, host: new URL(origin).host } }, (given) => {
      answer.writeHead(given.statusCode, given.headers);
      given.pipe(answer);
    }).end();
  });
  return {
    ...server,
    bytes: phases[0].bytes.length,
    told: () => told,
    begin: () => {
      turn = 0;
      timer = setInterval(() => {
        const bytes = turnOf(phases[turn % phases.length], turn++);
        for (const answer of readers) answer.write(bytes);
        told += status.tasks.length;
      }, 1000 / hz);
    },
    end: () => clearInterval(timer),
  };
}

const measures = { "first-paint": firstPaint, list, run, live };
const wanted = measures[process.argv[2]];
if (!wanted) throw new Error(`no such measure; there are ${Object.keys(measures).join(", ")}`);
let text = "";
for await (const piece of process.stdin) text += piece;
const settings = JSON.parse(text);
const browser = await launch(OPTIONS);
const watched = new Watched([settings.origin, settings.large, settings.small].filter(Boolean));
const world = {
  watched,
  page: async (address) => {
    const page = await (await watched.open(browser, { viewport: VIEW })).newPage();
    await new Promise((rested) => setTimeout(rested, WINDOW_MS)); // the window's own start
    await page.goto(address, { waitUntil: "commit" });
    return page;
  },
};
const figures = await wanted(settings, world);
await browser.close();
console.log(JSON.stringify({ ...figures, findings: watched.take() }));
