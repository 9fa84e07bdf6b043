// What has happened in the last quarter of an hour, second by second, out of the snapshots.

/** How many seconds are kept. */
const KEPT = 15 * 60;
/** How many single requests are kept, for the dots. */
const DOTS = 2000;
/** A median is taken over so many seconds. */
const MEDIAN_OVER = 30;

const OWNERS = ["client", "gateway", "upstream"];

export class History {
  constructor() {
    this.reset();
  }

  reset() {
    /** @type {{t: number, in_flight: number, queued: number, memory: number}[]} */
    this.gauges = [];
    /** By second: what began, what failed by whose fault, pieces of answers. */
    this.seconds = new Map();
    /** Single requests: time to first token in ms, tokens per second. */
    this.firsts = [];
    this.speeds = [];
    /** The last of them, by its number. */
    this.paced = 0;
    /** The last requests, newest first. */
    this.requests = [];
    this.last = null;
    /** The last moment that was told, and the first one. */
    this.moment = null;
    this.since = 0;
  }

  /** Takes a snapshot. The first one of a connection tells the past too, as far as the gateway knows it. */
  take(snapshot) {
    if (this.last && this.#isAnother(snapshot)) this.reset();
    for (const [ms, numbers] of snapshot.past ?? []) this.#step(ms / 1000, numbers);
    this.#step(snapshot.now_ms / 1000, snapshot.numbers);
    const known = new Set(this.requests.map((request) => request.number));
    const fresh = snapshot.finished.filter((request) => !known.has(request.number));
    for (const pace of snapshot.paces ?? []) this.#pace(...pace);
    for (const { number, timestamp, time_to_first_token_ms, tokens_per_second } of fresh)
      this.#pace(number, timestamp, time_to_first_token_ms, tokens_per_second);
    this.requests = [...fresh.reverse(), ...this.requests].slice(0, 100);
    this.last = snapshot;
    this.#forget(snapshot.now_ms / 1000);
  }

  /** Whether it is of another process, or of a clock that was set back: nothing before it fits to it. */
  #isAnother({ now_ms, status }) {
    return status.uptime_seconds < this.last.status.uptime_seconds || now_ms < this.last.now_ms;
  }

  #second(t) {
    const at = Math.floor(t);
    let second = this.seconds.get(at);
    if (!second) this.seconds.set(at, (second = { begun: 0, client: 0, gateway: 0, upstream: 0, events: 0 }));
    return second;
  }

  /** A moment, as the gateway tells it. What happened since the one before counts for its second. */
  #step(t, [in_flight, queued, bytes, begun, failed, events]) {
    const before = this.moment;
    if (before && t <= before.t) return;
    this.gauges.push({ t, in_flight, queued, memory: bytes / 2 ** 20 });
    this.moment = { t, begun, failed, events };
    if (!before) {
      this.since = t;
      return;
    }
    const second = this.#second(t);
    second.begun += begun - before.begun;
    second.events += events - before.events;
    OWNERS.forEach((owner, at) => (second[owner] += failed[at] - before.failed[at]));
  }

  /** Takes how fast an answer came; of each once, whoever tells it. */
  #pace(number, timestamp, first, speed) {
    if (number <= this.paced) return;
    this.paced = number;
    const t = Date.parse(timestamp) / 1000;
    if (first != null) this.firsts.push({ t, v: first });
    if (speed != null) this.speeds.push({ t, v: speed });
  }

  /** How many tokens a piece of an answer has, by the last answers whose tokens are known. */
  tokensPerEvent() {
    const counted = this.requests.filter((request) => request.completion_tokens && request.upstream_events);
    const sum = (name) => counted.reduce((sum, request) => sum + request[name], 0);
    return counted.length ? sum("completion_tokens") / sum("upstream_events") : 1;
  }

  #forget(t) {
    const oldest = t - KEPT;
    this.gauges = this.gauges.filter((gauge) => gauge.t >= oldest);
    this.firsts = this.firsts.filter((dot) => dot.t >= oldest).slice(-DOTS);
    this.speeds = this.speeds.filter((dot) => dot.t >= oldest).slice(-DOTS);
    for (const second of this.seconds.keys()) if (second < oldest) this.seconds.delete(second);
  }

  /** Counts in steps of so many seconds: [{t, values}], one value for each name. */
  bars(names, window, step) {
    const end = Math.floor(this.last.now_ms / 1000 / step) * step;
    const bars = new Map();
    for (let t = end; t > end - window; t -= step)
      bars.set(
        t,
        names.map(() => 0),
      );
    for (const [second, counts] of this.seconds) {
      const values = bars.get(Math.floor(second / step) * step);
      if (values) names.forEach((name, at) => (values[at] += counts[name]));
    }
    return [...bars].map(([t, values]) => ({ t, values })).reverse();
  }

  /** How much of a count came in the last so many seconds. */
  sum(name, seconds) {
    const end = Math.floor(this.last.now_ms / 1000);
    let sum = 0;
    for (let t = end - seconds + 1; t <= end; t += 1) sum += this.seconds.get(t)?.[name] ?? 0;
    return sum;
  }

  /** A gauge as a line: [{t, v}]. */
  line(name) {
    return this.gauges.map((gauge) => ({ t: gauge.t, v: gauge[name] }));
  }

  /** How much of a count came each second, over three seconds, as a line. Begins with what is known. */
  rate(name, window) {
    const end = Math.floor(this.last.now_ms / 1000);
    const counted = (t) => this.seconds.get(t)?.[name] ?? 0;
    const points = [];
    for (let t = Math.max(end - window, Math.ceil(this.since)); t <= end; t += 1) {
      points.push({ t, v: (counted(t) + counted(t - 1) + counted(t - 2)) / 3 });
    }
    return points;
  }

  /** The median of dots over the last half minute, as a line with gaps. */
  medians(dots, window) {
    const end = this.last.now_ms / 1000;
    const points = [];
    for (let t = end - window; t <= end; t += window / 300) {
      const near = dots.filter((dot) => dot.t <= t && dot.t > t - MEDIAN_OVER).map((dot) => dot.v);
      points.push({ t, v: near.length ? median(near) : null });
    }
    return points;
  }
}

/** The middle of some numbers. */
export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
