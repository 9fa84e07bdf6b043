// Text that grows at its end. It stands in blocks, and only the last one is ever laid out anew: an
// answer of a megabyte would otherwise stop the page at each of its pieces.
import { element } from "./say.js";

/** From so many characters on, the next line begins a new block. */
const BLOCK = 2000;
/** A line as long as that is broken where it is. */
const LONGEST = 20_000;
/** With so many blocks a text is a long one. */
const MANY = 20;

export class Growing {
  constructor() {
    this.element = element("div", "text");
    this.#clear();
  }

  #clear() {
    this.shown = "";
    this.last = null;
    this.element.replaceChildren();
    this.element.classList.remove("long");
  }

  /** Shows a text; what it has in common with the one before stays as it is. */
  show(text) {
    if (!text.startsWith(this.shown)) this.#clear();
    for (let at = this.shown.length; at < text.length; ) {
      const end = this.#endOfBlock(text, at);
      this.#add(text.slice(at, end));
      at = end;
    }
    this.shown = text;
  }

  /** How far the block goes that has the character at `at`. */
  #endOfBlock(text, at) {
    const length = this.last?.data.length ?? 0;
    const line = text.indexOf("\n", at + Math.max(0, BLOCK - length));
    const longest = Math.max(at + 1, at + LONGEST - length);
    return Math.min(line < 0 ? text.length : line + 1, longest, text.length);
  }

  #add(text) {
    const isFull = this.last && this.last.data.length >= BLOCK && this.last.data.endsWith("\n");
    if (!this.last || isFull || this.last.data.length >= LONGEST) {
      this.last = document.createTextNode("");
      this.element.append(element("div", "block", this.last));
      if (this.element.children.length > MANY) this.element.classList.add("long");
    }
    this.last.appendData(text);
  }
}
