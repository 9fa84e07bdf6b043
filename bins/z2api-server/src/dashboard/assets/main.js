// Puts the page together: follows the gateway's numbers, and shows them.
import { drawCharts, figures } from "./charts.js";
import { offerModels, sayChat, startChat } from "./chat.js";
import { History } from "./history.js";
import { canBeKey, hold, recall } from "./keys.js";
import { canSay, clock, duration, element, keep, number, say, sayAll, sayIn, switchLanguage } from "./say.js";
import { events } from "./sse.js";
import { showModels, showRequests, showTokens } from "./tables.js";

const EVENTS = new URL("events", import.meta.url);
const ADMIN_KEY = "z2api-admin-key";
/** A snapshot comes each second. After so long without one the connection is dead. */
const SILENCE = 10_000;
/** The longest wait between two tries, in seconds. */
const LONGEST_WAIT = 15;

/** In these states the numbers are of now. */
const FOLLOWED = ["ready", "stopping", "out_of_memory", "no_usable_token"];

const $ = (id) => document.getElementById(id);
const history = new History();
const root = document.documentElement;

let minutes = 5;
let state = ["connecting", null];
/** Why the numbers are refused, in the gateway's words. */
let refusal = "";
/** What the page's files were when it was opened. */
let version = null;
/** Wakes whoever waits to try again. */
let wake = () => {};

function drawFacts() {
  const { status, totals, version } = history.last;
  $("version").textContent = version;
  const fact = (name, value) =>
    element("div", "", element("dt", "", say(`live.${name}`)), element("dd", "", value));
  const failed = totals.failed_by_client + totals.failed_by_gateway + totals.failed_by_upstream;
  const share = number((100 * failed) / Math.max(1, totals.finished), 1);
  $("facts").replaceChildren(
    fact("uptime", duration(status.uptime_seconds * 1000)),
    fact("total", number(status.total_requests)),
    fact("failed", failed ? say("live.failed.share", { n: number(failed), share }) : number(0)),
    fact("tokens", number(totals.completion_tokens)),
    fact("retries", number(totals.retries)),
    fact("connections", number(status.client_connections)),
  );
}

function drawUpstream() {
  const { breaker, dialect } = history.last.status;
  const time = duration((breaker.seconds_left ?? 0) * 1000);
  const pill = element(
    "span",
    `pill ${breaker.state === "closed" ? "good" : "bad"}`,
    say(`breaker.${breaker.state}`, { time }),
  );
  $("breaker").replaceChildren(pill, breaker.reason ? ` ${breaker.reason}` : "");
  $("dialect").textContent = dialect;
}

function drawState() {
  const [name, seconds] = state;
  const why = say(`state.${name}`);
  const text = seconds ? say("state.again", { why, time: duration(seconds * 1000) }) : why;
  const pill = $("state");
  const kind =
    {
      ready: "good",
      connecting: "",
      locked: "warn",
      stopping: "warn",
      out_of_memory: "warn",
      no_usable_token: "bad",
    }[name] ?? "bad";
  // A status that is set anew each second would be read out each second.
  if (pill.textContent !== text) pill.textContent = text;
  pill.className = `pill ${kind}`;
  const isStale = !FOLLOWED.includes(name);
  document.body.classList.toggle("stale", isStale);
  document.body.classList.toggle("unknown", !history.last && name !== "connecting");
  const told = [];
  if (name === "refused") told.push(refusal);
  if (canSay(`notice.${name}`)) told.push(say(`notice.${name}`));
  if (isStale && history.last) told.push(say("notice.stale", { time: clock(history.last.now_ms) }));
  const notice = told.join(" ");
  if ($("notice").textContent !== notice) $("notice").textContent = notice;
  $("notice").hidden = !notice;
}

function setState(name, seconds = null) {
  state = [name, seconds];
  drawState();
}

function drawRequests() {
  showRequests(history.requests, $("failed-only").checked);
}

function draw() {
  if (!history.last) return;
  drawCharts(history, minutes);
  drawFacts();
  drawUpstream();
  showTokens(history.last.status.tokens);
  showModels(history.last.status.models, history.requests);
}

/** Something that went wrong here, not on the way. */
class Mistake extends Error {}

function take(data) {
  try {
    show(JSON.parse(data));
  } catch (cause) {
    throw new Mistake("a snapshot cannot be shown", { cause });
  }
}

function show(snapshot) {
  history.take(snapshot);
  version ??= snapshot.page;
  $("updated").hidden = version === snapshot.page;
  setState(snapshot.status.not_ready ?? "ready");
  $("lock").hidden = true;
  offerModels(snapshot.status.models.map((model) => model.name));
  if (document.hidden) return;
  draw();
  if (snapshot.finished.length) drawRequests();
}

/** Follows the numbers until they end. Throws if they cannot be had. */
async function watch() {
  const silent = new AbortController();
  let alarm = setTimeout(() => silent.abort(), SILENCE);
  try {
    const key = recall(ADMIN_KEY);
    const headers = key ? { authorization: `Bearer ${key}` } : {};
    const response = await fetch(EVENTS, { headers, signal: silent.signal, cache: "no-store" });
    if (response.status === 401) return lock(Boolean(key));
    if (!response.ok) return await refuse(response);
    for await (const event of events(response.body)) {
      clearTimeout(alarm);
      alarm = setTimeout(() => silent.abort(), SILENCE);
      if (event.data !== null) take(event.data);
    }
    return "ended";
  } catch (error) {
    // A connection that breaks is an everyday thing; all else is a mistake of this page.
    if (error instanceof Mistake) throw error.cause;
    return "lost";
  } finally {
    clearTimeout(alarm);
  }
}

function lock(wrong) {
  hold(ADMIN_KEY, "");
  $("lock").hidden = false;
  sayIn($("lock-wrong"), "lock.wrong");
  $("lock-wrong").hidden = !wrong;
  return "locked";
}

/** Notes what the gateway says of its refusal. */
async function refuse(response) {
  const { status, statusText } = response;
  // A proxy on the way may refuse in its own shape.
  const said = await response.json().catch(() => null);
  const { message = statusText, code } = said?.error ?? {};
  refusal = say("chat.failed", { status, message });
  return code === "too_many_watchers" ? "full" : "refused";
}

/** Resolves after so many seconds, or when it is woken. */
function rest(seconds) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000);
    wake = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}

async function follow() {
  let wait = 1;
  for (;;) {
    const before = history.last;
    const why = await watch();
    if (history.last !== before) wait = 1;
    if (why === "locked") {
      setState("locked");
      await new Promise((resolve) => (wake = resolve));
      continue;
    }
    setState(why, wait);
    await rest(wait);
    wait = Math.min(wait * 2, LONGEST_WAIT);
  }
}

function isDark() {
  return root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
}

function sayTheme() {
  $("theme").setAttribute("aria-label", say(isDark() ? "page.theme.light" : "page.theme.dark"));
  $("theme").textContent = isDark() ? "☀" : "☾";
}

function sayPage() {
  document.title = say("page.title");
  sayAll(document);
  sayTheme();
  for (const choice of document.querySelectorAll("#window span"))
    choice.textContent = say("live.minutes", { n: choice.dataset.minutes });
  drawState();
  draw();
  drawRequests();
  sayChat();
}

function start() {
  $("charts").append(...figures);
  $("language").addEventListener("click", () => {
    switchLanguage();
    sayPage();
  });
  $("theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    keep("z2api-theme", root.dataset.theme);
    sayTheme();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", sayTheme);
  $("failed-only").addEventListener("change", drawRequests);
  for (const choice of document.querySelectorAll("input[name=window]")) {
    choice.addEventListener("change", () => {
      minutes = Number(choice.value);
      draw();
    });
  }
  $("lock").addEventListener("submit", (event) => {
    event.preventDefault();
    const key = $("admin-key").value.trim();
    if (!key) return;
    sayIn($("lock-wrong"), canBeKey(key) ? "lock.wrong" : "key.letters");
    $("lock-wrong").hidden = canBeKey(key);
    if (!canBeKey(key)) return;
    hold(ADMIN_KEY, key);
    $("admin-key").value = "";
    wake();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) {
      draw();
      drawRequests();
      // Whoever looks again does not want to wait.
      if (state[0] !== "locked") wake();
    }
  });
  addEventListener("online", () => wake());
  $("reload").addEventListener("click", () => location.reload());
  startChat();
  sayPage();
  follow().catch((error) => {
    setState("broken");
    throw error;
  });
}

start();
