// A gateway in front of the demo's upstream, and a browser that looks at it and keeps what goes
// wrong.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chromium } from "playwright-core";

export const KEY = "sk-browser-test-0001";
/** How long anything may take before a check gives up: the machine may be busy. */
export const PATIENCE = 60_000;
export const WIDE = { width: 1440, height: 900 };
export const PHONE = { width: 375, height: 812 };

/** A name that anybody could have, and that leads to this machine. */
export const PUBLIC_NAME = "gateway.example";

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  `--host-resolver-rules=MAP ${PUBLIC_NAME} 127.0.0.1`,
];

/** Starts a demo on a free port. */
export async function demo(variables = {}) {
  const env = { PORT: "0", DEFAULT_KEY: KEY, ...variables };
  const child = spawn(process.env.Z2API_SERVER, ["--demo"], { env, stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const url = await new Promise((resolve, reject) => {
    let said = "";
    child.stderr.on("data", (more) => {
      said += more;
      const found = /listens on (http:\S+)\n/.exec(said);
      if (found) resolve(found[1]);
    });
    ended.then((code) => reject(new Error(`it ended with ${code}: ${said}`)));
  });
  return { url, child, ended, stop: () => child.kill("SIGTERM") };
}

/** Starts the browser. */
export function browse() {
  return chromium.launch({ executablePath: process.env.Z2API_CHROMIUM, args: ARGUMENTS });
}

/**
 * Opens the page of a gateway in a fresh profile, for one test. `faults` gets what the console complains of, what
 * is thrown, what the content security policy forbids, and requests to anyone else.
 */
export async function open(t, browser, gateway, options = {}) {
  const { size = WIDE, scheme = "light", locale = "en-US" } = options;
  const context = await browser.newContext({
    viewport: size,
    colorScheme: scheme,
    locale,
    reducedMotion: "reduce",
  });
  t.after(() => context.close());
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const faults = [];
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(`${gateway.url}/`)) faults.push(`asks ${url}`);
    if (url.includes("?") || url.includes(KEY) || url.includes("an-admin-key")) faults.push(`a key in ${url}`);
  });
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) =>
      console.error(`forbidden: ${event.violatedDirective}`),
    );
  });
  await page.goto(`${gateway.url}/dashboard`);
  return { page, faults };
}

/** Waits until the state at the top says this. */
export async function state(page, text) {
  await page.waitForFunction((text) => document.getElementById("state").textContent.includes(text), text);
}

/** Asks in a thinking mode; answers what is shown once it has ended. */
export async function ask(page, mode, text, key = KEY) {
  await page.fill("#key", key);
  await page.press("#key", "Tab");
  await page.click(`#mode label:has(input[value=${mode}])`);
  const before = await page.locator(".said.model").count();
  await page.fill("#message", text);
  await page.press("#message", "Enter");
  await page.locator(".said.model").nth(before).waitFor();
  return ended(page);
}

/** What is shown of the last answer, once it has ended. */
export async function ended(page) {
  await page.waitForSelector("#send", { state: "visible" });
  return page.evaluate(() => {
    const shown = (element) => (element.hidden ? "" : element.textContent);
    const last = [...document.querySelectorAll(".said.model")].at(-1);
    return {
      thinking: last.querySelector(".thinking").hidden
        ? ""
        : last.querySelector(".thinking .text").textContent,
      answer: shown(last.querySelector(":scope > .text")),
      complaint: shown(last.querySelector(".complaint")),
      facts: last.querySelector(".facts").textContent,
      raw: [...document.querySelectorAll("#raw code")].map((code) => code.textContent),
    };
  });
}

export function noFaults(faults) {
  assert.deepEqual(faults, []);
}
