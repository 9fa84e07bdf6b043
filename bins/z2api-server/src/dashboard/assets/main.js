// Puts the page together: follows the gateway's numbers, and shows them.
import { Chart } from "./chart.js";
import { offerModels, sayChat, startChat } from "./chat.js";
import { History } from "./history.js";
import { brief, duration, element, keep, number, say, sayAll, switchLanguage } from "./say.js";
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
/** Wakes whoever waits to try again. */
let wake = () => {};

const last = (points) => points.at(-1)?.v ?? null;
const nearest = (points, t, within) => {
  const near = points.filter((point) => Math.abs(point.t - t) <= within && point.v !== null);
  near.sort((a, b) => Math.abs(a.t - t) - Math.abs(b.t - t));
  return near[0]?.v ?? null;
};
const barAt = (bars, step, t) => bars.find((bar) => t >= bar.t && t < bar.t + step)?.values ?? [];

const charts = {
  requests: new Chart("requests", [{ name: "begun", colour: "c1" }], { least: 1, format: brief }),
  load: new Chart("load", [{ name: "in_flight", colour: "c1", shape: "line" }, { name: "queued", colour: "c2", shape: "line" }], { least: 4, format: brief }),
  first: new Chart("first", [{ name: "median", colour: "c1", shape: "line" }, { name: "each", colour: "c3", shape: "round" }], { least: 100, format: duration }),
  speed: new Chart("speed", [{ name: "all", colour: "c1", shape: "line" }, { name: "each", colour: "c3", shape: "round" }], { least: 10, format: brief }),
  errors: new Chart("errors", [{ name: "client", colour: "c2" }, { name: "gateway", colour: "c3" }, { name: "upstream", colour: "c4" }], { least: 2, format: brief }),
  memory: new Chart("memory", [{ name: "resident", colour: "c1", shape: "line" }], { least: 16, format: (v) => number(v) }),
};

function drawCharts() {
  const [window, step] = [minutes * 60, minutes];
  const { status } = history.last;
  const common = { end: history.last.now_ms / 1000, window };
  const wide = Math.max(2, window / 100);

  const perSecond = history.bars(["begun"], window, step).map(({ t, values }) => ({ t, values: values.map((v) => v / step) }));
  const lately = history.rate("begun", 10).slice(1).reduce((sum, { v }) => sum + v, 0) / 10;
  charts.requests.show({ ...common, value: say("chart.requests.unit", { n: brief(lately) }), bars: { step, all: perSecond }, at: (t) => barAt(perSecond, step, t) });

  const [inFlight, queued] = [history.line("in_flight"), history.line("queued")];
  charts.load.show({
    ...common,
    value: say("chart.load.now", { n: number(status.current_connections), limit: number(status.current_limit) }),
    lines: [{ colour: "c1", points: inFlight, area: true }, { colour: "c2", points: queued }],
    at: (t) => [nearest(inFlight, t, wide), nearest(queued, t, wide)],
  });

  const medians = history.medians(history.firsts, window);
  const newest = history.firsts.filter((dot) => dot.t > common.end - window);
  charts.first.show({
    ...common,
    value: newest.length ? duration(last(medians) ?? last(newest)) : say("chart.none"),
    lines: [{ colour: "c1", points: medians }],
    dots: [{ colour: "c3", points: history.firsts }],
    at: (t) => [nearest(medians, t, 1), nearest(history.firsts, t, wide)],
  });

  const rate = history.rate("tokens", window);
  charts.speed.show({
    ...common,
    value: brief(last(rate) ?? 0),
    note: say("chart.speed.note"),
    lines: [{ colour: "c1", points: rate, area: true }],
    dots: [{ colour: "c3", points: history.speeds }],
    at: (t) => [nearest(rate, t, 1), nearest(history.speeds, t, wide)],
  });

  const errors = history.bars(["client", "gateway", "upstream"], window, step);
  const count = errors.flatMap(({ values }) => values).reduce((sum, v) => sum + v, 0);
  charts.errors.show({ ...common, value: number(count), bars: { step, all: errors }, at: (t) => barAt(errors, step, t) });

  const memory = history.line("memory");
  charts.memory.show({
    ...common,
    value: say("chart.memory.now", { n: number(status.memory_usage_mb), limit: number(status.memory_limit_mb) }),
    lines: [{ colour: "c1", points: memory, area: true }],
    at: (t) => [nearest(memory, t, wide)],
  });
}

function drawFacts() {
  const { status, totals, version } = history.last;
  $("version").textContent = version;
  const fact = (name, value) => element("div", "", element("dt", "", say(`live.${name}`)), element("dd", "", value));
  const failed = totals.failed_by_client + totals.failed_by_gateway + totals.failed_by_upstream;
  $("facts").replaceChildren(
    fact("uptime", duration(status.uptime_seconds * 1000)),
    fact("total", number(status.total_requests)),
    fact("failed", number(failed)),
    fact("tokens", number(totals.completion_tokens)),
    fact("retries", number(totals.retries)),
    fact("connections", number(status.client_connections)),
  );
}

function drawState() {
  const [name, seconds] = state;
  const why = say(`state.${name}`);
  const text = seconds ? say("state.again", { why, time: duration(seconds * 1000) }) : why;
  const pill = $("state");
  const kind = { ready: "good", connecting: "", locked: "warn", stopping: "warn", out_of_memory: "warn", no_usable_token: "bad" }[name] ?? "bad";
  // A status that is set anew each second would be read out each second.
  if (pill.textContent !== text) pill.textContent = text;
  pill.className = `pill ${kind}`;
  document.body.classList.toggle("stale", !FOLLOWED.includes(name));
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
  drawCharts();
  drawFacts();
  showTokens(history.last.status.tokens);
  showModels(history.last.status.models, history.requests);
}

function take(snapshot) {
  history.take(snapshot);
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
    const key = sessionStorage.getItem(ADMIN_KEY);
    const headers = key ? { authorization: `Bearer ${key}` } : {};
    const response = await fetch(EVENTS, { headers, signal: silent.signal, cache: "no-store" });
    if (response.status === 401) return lock(Boolean(key));
    if (!response.ok) return response.status === 503 ? "full" : "lost";
    for await (const event of events(response.body)) {
      clearTimeout(alarm);
      alarm = setTimeout(() => silent.abort(), SILENCE);
      if (event.data !== null) take(JSON.parse(event.data));
    }
    return "ended";
  } catch {
    return "lost";
  } finally {
    clearTimeout(alarm);
  }
}

function lock(wrong) {
  sessionStorage.removeItem(ADMIN_KEY);
  $("lock").hidden = false;
  $("lock-wrong").hidden = !wrong;
  return "locked";
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
  return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function sayTheme() {
  $("theme").setAttribute("aria-label", say(isDark() ? "page.theme.light" : "page.theme.dark"));
  $("theme").textContent = isDark() ? "☀" : "☾";
}

function sayPage() {
  document.title = say("page.title");
  sayAll(document);
  sayTheme();
  for (const choice of document.querySelectorAll("#window span")) choice.textContent = say("live.minutes", { n: choice.dataset.minutes });
  drawState();
  draw();
  drawRequests();
  sayChat();
}

function start() {
  $("charts").append(...Object.values(charts).map((chart) => chart.figure));
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
    sessionStorage.setItem(ADMIN_KEY, key);
    $("admin-key").value = "";
    wake();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) {
      draw();
      drawRequests();
    }
  });
  addEventListener("online", () => wake());
  startChat();
  sayPage();
  follow();
}

start();
