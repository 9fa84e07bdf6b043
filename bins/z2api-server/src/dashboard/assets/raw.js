// The raw events of the last answer, as they came.
import { bytes, element, number, say } from "./say.js";

/** So many are shown. */
const SHOWN = 1000;

const $ = (id) => document.getElementById(id);

/** How many came, and how large they were. */
let raw = { count: 0, size: 0 };

function kindOf(event) {
  if (event.data === null) return "comment";
  if (event.data === "[DONE]") return "end";
  return event.data.startsWith('{"error"') ? "error" : "";
}

/** Adds an event, so many milliseconds after the question. */
export function showRaw(event, after, kind = kindOf(event)) {
  raw.count += 1;
  raw.size += new TextEncoder().encode(event.raw).length;
  const list = $("raw");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  const item = element(
    "li",
    kind,
    element("time", "", `+${(after / 1000).toFixed(2)}`),
    element("code", "", event.raw),
  );
  list.append(item);
  if (list.children.length > SHOWN) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
  countRaw();
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
  $("raw").replaceChildren();
  countRaw();
}
