// A chart in SVG: bars, lines and dots over time, with the value under the pointer.
import { clock, element, say } from "./say.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 150;
const PAD = { left: 4, right: 4, top: 8, bottom: 20 };

function svg(tag, attributes = {}, text = null) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== null) made.textContent = text;
  return made;
}

/** The next number whose half is round too. */
function roundUp(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10].find((times) => times * unit >= value * 0.999) * unit;
}

export class Chart {
  /**
   * @param {string} name for the words `chart.NAME`
   * @param {{name: string, colour: string, shape?: string}[]} series what the legend explains, in
   *   the words `chart.NAME.SERIES`
   * @param {{least: number, format: (value: number) => string}} options the least top of the
   *   scale, and how values are written
   */
  constructor(name, series, options) {
    Object.assign(this, { name, series, options, shown: null, cursor: null });
    this.title = element("h3");
    this.value = element("strong", "value");
    this.of = element("small", "of");
    this.legend = element("ul", "legend");
    this.note = element("p", "note");
    this.svg = svg("svg", { height: HEIGHT, tabindex: 0, role: "img" });
    this.figure = element("figure", "card chart");
    this.figure.id = `chart-${name}`;
    this.figure.append(element("figcaption", "", this.title, element("span", "", this.of, " ", this.value)), this.svg, this.legend, this.note);
    this.#listen();
  }

  #listen() {
    this.svg.addEventListener("pointermove", (event) => this.#point(event.offsetX));
    this.svg.addEventListener("pointerleave", () => this.#point(null));
    this.svg.addEventListener("blur", () => this.#point(null));
    this.svg.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step || !this.shown) return;
      event.preventDefault();
      const width = this.#width();
      const steps = this.shown.window / (this.shown.bars?.step ?? this.shown.window / 60);
      this.#point(Math.min(width, Math.max(0, (this.cursor ?? width) + (step * width) / steps)));
    });
    new ResizeObserver(() => this.shown && this.#draw()).observe(this.figure);
  }

  #point(x) {
    this.cursor = x;
    if (this.shown) this.#draw();
  }

  #width() {
    return Math.max(120, this.svg.clientWidth);
  }

  /**
   * @param {{end: number, window: number, value: string, of?: string, note?: string,
   *   bars?: {step: number, all: {t: number, values: number[]}[]},
   *   lines?: {colour: string, points: {t: number, v: number|null}[], area?: boolean}[],
   *   dots?: {colour: string, points: {t: number, v: number}[]}[],
   *   at: (t: number) => (number|null)[], now?: (number|null)[]}} shown times in seconds; `of` says
   *   of which time the value is; `at` answers each series' value, `now` has them while no time is
   *   pointed at: none where the value says it all
   */
  show(shown) {
    this.shown = shown;
    this.#draw();
  }

  #draw() {
    const { end, window } = this.shown;
    const width = this.#width();
    const begin = end - window;
    const top = this.#top(begin);
    const x = (t) => PAD.left + ((t - begin) / window) * (width - PAD.left - PAD.right);
    const y = (v) => HEIGHT - PAD.bottom - (Math.min(v, top) / top) * (HEIGHT - PAD.top - PAD.bottom);
    const all = [...this.#grid(x, y, top, width)];
    if (this.shown.bars) all.push(...this.#bars(x, y, begin));
    for (const line of this.shown.lines ?? []) all.push(...this.#line(line, x, y, begin));
    for (const dots of this.shown.dots ?? []) {
      const near = dots.points.filter((dot) => dot.t >= begin);
      all.push(
        ...near.map((dot) =>
          svg("circle", {
            class: `dot ${dots.colour}`,
            cx: x(dot.t).toFixed(1),
            cy: y(dot.v).toFixed(1),
            r: 2.5,
          }),
        ),
      );
    }
    if (this.cursor !== null)
      all.push(
        svg("line", {
          class: "cursor",
          x1: this.cursor,
          x2: this.cursor,
          y1: PAD.top,
          y2: HEIGHT - PAD.bottom,
        }),
      );
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.svg.replaceChildren(...all);
    this.#words(begin, width);
  }

  #top(begin) {
    const { bars, lines = [], dots = [] } = this.shown;
    const stacked = (bars?.all ?? []).map((bar) => bar.values.reduce((sum, v) => sum + v, 0));
    const points = [...lines, ...dots]
      .flatMap(({ points }) => points)
      .filter(({ t, v }) => t >= begin && v !== null);
    const most = [...stacked, ...points.map(({ v }) => v)].reduce((a, b) => Math.max(a, b), 0);
    return roundUp(Math.max(most * 1.05, this.options.least));
  }

  *#grid(x, y, top, width) {
    const { end, window } = this.shown;
    for (const part of [0, 0.5, 1]) {
      yield svg("line", { class: "grid", x1: 0, x2: width, y1: y(top * part), y2: y(top * part) });
      if (part)
        yield svg("text", { class: "tick", x: 4, y: y(top * part) + 12 }, this.options.format(top * part));
    }
    const minutes = window / 60;
    for (const [part, anchor] of [
      [0, "start"],
      [0.5, "middle"],
      [1, "end"],
    ]) {
      const ago = minutes * (1 - part);
      const said = ago ? say("chart.ago", { n: ago }) : say("chart.now");
      yield svg(
        "text",
        { class: "tick", x: x(end - window + window * part), y: HEIGHT - 5, "text-anchor": anchor },
        said,
      );
    }
  }

  *#bars(x, y, begin) {
    const { step, all } = this.shown.bars;
    const wide = Math.max(1.5, x(begin + step) - x(begin) - 1);
    for (const { t, values } of all) {
      let below = 0;
      for (const [at, value] of values.entries()) {
        if (!value) continue;
        const [bottom, top] = [y(below), y(below + value)];
        below += value;
        const left = Math.max(PAD.left, x(t));
        yield svg("rect", {
          class: `bar ${this.series[at].colour}`,
          x: left.toFixed(1),
          y: top.toFixed(1),
          width: wide.toFixed(1),
          height: Math.max(1, bottom - top).toFixed(1),
          rx: 1,
        });
      }
    }
  }

  *#line({ colour, points, area }, x, y, begin) {
    let path = "";
    let from = null;
    let last = null;
    const close = () =>
      area && last ? `${path}L${x(last.t).toFixed(1)} ${y(0)}L${x(from.t).toFixed(1)} ${y(0)}Z` : "";
    const shapes = [];
    const finish = () => {
      if (!path) return;
      if (area) shapes.push(svg("path", { class: `area ${colour}`, d: close() }));
      shapes.push(svg("path", { class: `line ${colour}`, d: path }));
      path = "";
      last = null;
    };
    for (const point of points) {
      if (point.t < begin) continue;
      // A gap is a gap: nothing is known there.
      if (point.v === null || (last && point.t - last.t > 10)) finish();
      if (point.v === null) continue;
      if (!path) from = point;
      path += `${path ? "L" : "M"}${x(point.t).toFixed(1)} ${y(point.v).toFixed(1)}`;
      last = point;
    }
    finish();
    yield* shapes;
  }

  /** Title, legend and label. Under a cursor the legend has the values of that time. */
  #words(begin, width) {
    const { end, window, value, of = "", note = "", at, now = [] } = this.shown;
    const title = say(`chart.${this.name}`);
    this.title.textContent = title;
    const inner = width - PAD.left - PAD.right;
    const t =
      this.cursor === null
        ? end
        : Math.min(end, Math.max(begin, begin + ((this.cursor - PAD.left) / inner) * window));
    const pointed = this.cursor !== null;
    const values = pointed ? at(t) : now;
    this.value.textContent = value;
    this.of.textContent = of;
    this.value.hidden = this.of.hidden = pointed;
    const items = this.series.map(({ name, colour, shape = "square" }, i) => {
      const item = element(
        "li",
        "",
        element("span", `mark ${shape} ${colour}`),
        `${say(`chart.${this.name}.${name}`)} `,
      );
      const known = values[i] ?? null;
      if (known !== null) item.append(element("b", "", this.options.format(known)));
      else if (pointed) item.append(element("b", "", "–"));
      return item;
    });
    if (pointed) items.push(element("li", "time", say("chart.at", { time: clock(t * 1000) })));
    this.legend.replaceChildren(...items);
    this.note.textContent = note;
    this.svg.setAttribute(
      "aria-label",
      say("chart.summary", { title, values: this.#values(pointed, value, of, items) }),
    );
  }
  /** What the label says of the values. */
  #values(pointed, value, of, items) {
    const all = pointed ? [] : [`${value} ${of}`.trim()];
    return [...all, ...items.map((item) => item.textContent.trim())].join(", ");
  }
}
