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
    /** By second: what began, what failed by whose fault, tokens. */
    this.seconds = new Map();
    /** Single requests: time to first token in ms, tokens per second. */
    this.firsts = [];
    this.speeds = [];
    /** The last requests, newest first. */
    this.requests = [];
    this.last = null;
    /** From when on all is known, in unix seconds. */
    this.since = 0;
  }

  /** Takes a snapshot. The first one tells the past too, as far as the gateway remembers it. */
  take(snapshot) {
    const restarted = this.last && snapshot.totals.finished < this.last.totals.finished;
    if (restarted) this.reset();
    const t = snapshot.now_ms / 1000;
    const { status } = snapshot;
    this.gauges.push({
      t,
      in_flight: status.current_connections,
      queued: status.queued,
      memory: status.memory_usage_mb,
    });
    const known = new Set(this.requests.slice(0, 100).map((request) => request.number));
    const fresh = snapshot.finished.filter((request) => !known.has(request.number));
    for (const request of fresh) this.#finished(request);
    if (this.last) this.#count(Math.floor(t), this.last, snapshot, fresh);
    else this.#begin(t, snapshot, fresh);
    this.requests = [...fresh.reverse(), ...this.requests].slice(0, 100);
    this.last = snapshot;
    this.#forget(t);
  }

  #second(t) {
    const at = Math.floor(t);
    let second = this.seconds.get(at);
    if (!second) this.seconds.set(at, (second = { begun: 0, client: 0, gateway: 0, upstream: 0, tokens: 0 }));
    return second;
  }

  #count(t, before, now, fresh) {
    const second = this.#second(t);
    second.begun += now.status.total_requests - before.status.total_requests;
    for (const owner of OWNERS)
      second[owner] += now.totals[`failed_by_${owner}`] - before.totals[`failed_by_${owner}`];
    // Of more requests than the gateway remembers, only the sum is known.
    const told = fresh.reduce((sum, request) => sum + (request.completion_tokens ?? 0), 0);
    second.tokens += Math.max(0, now.totals.completion_tokens - before.totals.completion_tokens - told);
  }

  /** The past that the gateway still knows: back to its start, or to the last request it remembers. */
  #begin(t, snapshot, remembered) {
    const started = t - snapshot.status.uptime_seconds;
    const forgot = snapshot.totals.finished > remembered.length;
    this.since = forgot && remembered.length ? Date.parse(remembered[0].timestamp) / 1000 : started;
    for (const request of remembered) this.#remembered(request);
  }

  #remembered(request) {
    const end = Date.parse(request.timestamp) / 1000;
    this.#second(end - request.response_time_ms / 1000).begun += 1;
    if (OWNERS.includes(request.owner) && request.status !== 499) this.#second(end)[request.owner] += 1;
  }

  /** Its tokens came evenly between the first one and the end: better than all in its last second. */
  #finished(request) {
    const end = Date.parse(request.timestamp) / 1000;
    const first = request.time_to_first_token_ms;
    if (first != null) this.firsts.push({ t: end, v: first });
    if (request.tokens_per_second != null) this.speeds.push({ t: end, v: request.tokens_per_second });
    const tokens = request.completion_tokens ?? 0;
    if (!tokens) return;
    const begin = Math.max(end - KEPT, end - (request.response_time_ms - (first ?? 0)) / 1000);
    const from = Math.min(begin, end - 0.001);
    for (let at = Math.floor(from); at <= end; at += 1) {
      const share = (Math.min(end, at + 1) - Math.max(from, at)) / (end - from);
      if (share > 0) this.#second(at).tokens += tokens * share;
    }
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
