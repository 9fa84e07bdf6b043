// The charts of the page: what each shows of the history.
import { Chart } from "./chart.js";
import { brief, duration, number, say } from "./say.js";

const last = (points) => points.at(-1)?.v ?? null;
const nearest = (points, t, within) => {
  const near = points.filter((point) => Math.abs(point.t - t) <= within && point.v !== null);
  near.sort((a, b) => Math.abs(a.t - t) - Math.abs(b.t - t));
  return near[0]?.v ?? null;
};
/** What was last known at a time. */
const latest = (points, t) => points.findLast((point) => point.t <= t)?.v ?? null;
const barAt = (bars, step, t) => bars.find((bar) => t >= bar.t && t < bar.t + step)?.values ?? [];

const perSecond = (v) => say("chart.per_second", { n: brief(v) });

const charts = {
  requests: new Chart("requests", [{ name: "begun", colour: "c1" }], { least: 1, format: perSecond }),
  load: new Chart(
    "load",
    [
      { name: "in_flight", colour: "c1", shape: "line" },
      { name: "queued", colour: "c2", shape: "line" },
    ],
    { least: 4, format: brief },
  ),
  first: new Chart(
    "first",
    [
      { name: "median", colour: "c1", shape: "line" },
      { name: "each", colour: "c3", shape: "round" },
    ],
    { least: 100, format: duration },
  ),
  speed: new Chart(
    "speed",
    [
      { name: "all", colour: "c1", shape: "line" },
      { name: "each", colour: "c3", shape: "round" },
    ],
    { least: 10, format: perSecond },
  ),
  errors: new Chart(
    "errors",
    [
      { name: "client", colour: "c2" },
      { name: "gateway", colour: "c3" },
      { name: "upstream", colour: "c4" },
    ],
    { least: 2, format: brief },
  ),
  memory: new Chart("memory", [{ name: "resident", colour: "c1", shape: "line" }], {
    least: 16,
    format: (v) => say("chart.memory.unit", { n: number(v) }),
  }),
};

/** The charts' places in the page. */
export const figures = Object.values(charts).map((chart) => chart.figure);

/** Shows the last so many minutes. */
export function drawCharts(history, minutes) {
  const [window, step] = [minutes * 60, minutes];
  const { status } = history.last;
  const common = { end: history.last.now_ms / 1000, window };
  const wide = Math.max(2, window / 100);

  const seconds = say("chart.of.seconds", { n: 10 });
  const rates = history
    .bars(["begun"], window, step)
    .map(({ t, values }) => ({ t, values: values.map((v) => v / step) }));
  charts.requests.show({
    ...common,
    value: perSecond(history.sum("begun", 10) / 10),
    of: seconds,
    bars: { step, all: rates },
    at: (t) => barAt(rates, step, t),
  });

  const [inFlight, queued] = [history.line("in_flight"), history.line("queued")];
  charts.load.show({
    ...common,
    value: say("chart.load.now", {
      n: number(status.current_connections),
      limit: number(status.current_limit),
    }),
    lines: [
      { colour: "c1", points: inFlight, area: true },
      { colour: "c2", points: queued },
    ],
    at: (t) => [nearest(inFlight, t, wide), nearest(queued, t, wide)],
    now: [last(inFlight), last(queued)],
  });

  const medians = history.medians(history.firsts, window);
  const newest = history.firsts.filter((dot) => dot.t > common.end - window);
  charts.first.show({
    ...common,
    value: newest.length ? duration(last(medians) ?? last(newest)) : say("chart.none"),
    of: !newest.length ? "" : last(medians) === null ? say("chart.of.last") : say("chart.of.median"),
    lines: [{ colour: "c1", points: medians }],
    dots: [{ colour: "c3", points: history.firsts }],
    at: (t) => [nearest(medians, t, wide), latest(history.firsts, t)],
  });

  const each = history.tokensPerEvent();
  const rate = history.rate("events", window).map(({ t, v }) => ({ t, v: v * each }));
  charts.speed.show({
    ...common,
    value: perSecond((history.sum("events", 10) / 10) * each),
    of: seconds,
    note: say("chart.speed.note", { n: number(each, 1) }),
    lines: [{ colour: "c1", points: rate, area: true }],
    dots: [{ colour: "c3", points: history.speeds }],
    at: (t) => [nearest(rate, t, 1), latest(history.speeds, t)],
  });

  const errors = history.bars(["client", "gateway", "upstream"], window, step);
  const sums = [0, 1, 2].map((owner) => errors.reduce((sum, { values }) => sum + values[owner], 0));
  charts.errors.show({
    ...common,
    value: number(sums.reduce((sum, v) => sum + v, 0)),
    of: say("chart.of.minutes", { n: minutes }),
    bars: { step, all: errors },
    at: (t) => barAt(errors, step, t),
    now: sums,
  });

  const memory = history.line("memory");
  charts.memory.show({
    ...common,
    value: say("chart.memory.now", {
      n: number(status.memory_usage_mb),
      limit: number(status.memory_limit_mb),
    }),
    lines: [{ colour: "c1", points: memory, area: true }],
    at: (t) => [nearest(memory, t, wide)],
  });
}
