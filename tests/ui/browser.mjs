// Debian's Chromium, watched: whatever the page's policy refuses, whatever it throws and whatever it asks of any other
// server fails the test.
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";
import { PATIENCE_MS } from "./daemon.mjs";

export const executable = process.env.CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find(existsSync);

export async function launch(more = []) {
  return chromium.launch({ executablePath: executable, args: ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb", ...more] });
}

export class Watched {
  constructor(origins) {
    this.origins = new Set([origins].flat());
    this.findings = [];
    this.allowed = [];
  }

  // For what a test brings about itself, such as a server that is away.
  allow(pattern) {
    this.allowed.push(pattern);
  }

  async open(browser, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1360, height: 860 }, locale: "en-GB", timezoneId: "Europe/Berlin", ...options });
    context.setDefaultTimeout(PATIENCE_MS / 2);
    await context.addInitScript(() => {
      addEventListener("securitypolicyviolation", (event) => console.error(`policy violation: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
    });
    context.on("page", (page) => this.watch(page));
    return context;
  }

  watch(page) {
    page.on("pageerror", (error) => this.findings.push(`thrown: ${error.stack}`));
    page.on("console", (message) => { if (message.type() === "error") this.findings.push(`console: ${message.text()} ${message.location().url}`); });
    page.on("request", (request) => {
      const url = new URL(request.url());
      if (!["data:", "blob:"].includes(url.protocol) && !this.origins.has(url.origin)) this.findings.push(`request to ${url.origin}`);
    });
  }

  // What was found and not foreseen.
  take() {
    const found = this.findings.filter((finding) => !this.allowed.some((pattern) => pattern.test(finding)));
    this.findings = [];
    return found;
  }
}
