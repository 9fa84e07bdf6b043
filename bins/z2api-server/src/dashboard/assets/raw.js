// The raw events of the last answer, as they came.
import { bytes, element, number, say } from "./say.js";

/** So many are shown. */
const SHOWN = 1000;
/** With more than so many the list is a long one. */
const MANY = 300;

const $ = (id) => document.getElementById(id);
const encoder = new TextEncoder();

/** How many came, and how large they were. */
let raw = { count: 0, size: 0 };
/** What came since the last drawing: never more than can be shown. */
let fresh = [];
let frame = null;

function kindOf(event) {
  if (event.data === null) return "comment";
  if (event.data === "[DONE]") return "end";
  return event.data.startsWith('{"error"') ? "error" : "";
}

/** Adds an event, so many milliseconds after the question. It is drawn with the next frame. */
export function addRaw(event, after, kind = kindOf(event)) {
  raw.count += 1;
  raw.size += encoder.encode(event.raw).length;
  fresh.push({ text: event.raw, after, kind });
  // A tab that is not looked at draws nothing.
  if (fresh.length > SHOWN) fresh.shift();
  frame ??= requestAnimationFrame(drawRaw);
}

/** Draws what came. */
export function drawRaw() {
  if (frame) cancelAnimationFrame(frame);
  frame = null;
  const list = $("raw");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  const items = fresh.map(({ text, after, kind }) =>
    element("li", kind, element("time", "", `+${(after / 1000).toFixed(2)}`), element("code", "", text)),
  );
  fresh = [];
  list.append(...items);
  list.classList.toggle("long", list.children.length > MANY);
  while (list.children.length > SHOWN) list.firstElementChild.remove();
  countRaw();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

/** Says how much came. */
export function countRaw() {
  $("raw-none").hidden = raw.count > 0;
  const said = raw.count ? say("raw.count", { n: number(raw.count), bytes: bytes(raw.size) }) : "";
  const dropped = raw.count > SHOWN ? ` ${say("raw.dropped", { n: number(raw.count - SHOWN) })}` : "";
  $("raw-count").textContent = said + dropped;
}

export function clearRaw() {
  raw = { count: 0, size: 0 };
  fresh = [];
  $("raw").replaceChildren();
  countRaw();
}
