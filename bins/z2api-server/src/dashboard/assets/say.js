// Says things in the language of the page: words, numbers, times.
import { words } from "./words.js";

const root = document.documentElement;
const isChinese = () => root.lang.startsWith("zh");

/** Keeps a choice for the next visit, where the browser allows it. Never for secrets. */
export function keep(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // Then it holds for this visit.
  }
}

/** The words of a key, with what it leaves open put in. */
export function say(key, values = {}) {
  const said = words[key];
  if (!said) throw new Error(`no words for ${key}`);
  return said[isChinese() ? 1 : 0].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Whether there are words for a key. */
export const canSay = (key) => Object.hasOwn(words, key);

/** Puts words into an element, now and whenever the language changes. */
export function sayIn(element, key) {
  element.dataset.t = key;
  element.textContent = say(key);
}

/** Puts the words into all that is marked with data-t, data-label and data-hint. */
export function sayAll(within) {
  for (const element of within.querySelectorAll("[data-t]")) element.textContent = say(element.dataset.t);
  for (const element of within.querySelectorAll("[data-label]"))
    element.setAttribute("aria-label", say(element.dataset.label));
  for (const element of within.querySelectorAll("[data-hint]"))
    element.placeholder = say(element.dataset.hint);
}

/** The other language, from now on. */
export function switchLanguage() {
  root.lang = isChinese() ? "en" : "zh-CN";
  keep("z2api-language", root.lang);
}

/** A number; with so many digits behind the point. */
export function number(value, digits = 0) {
  return value.toLocaleString(root.lang, { maximumFractionDigits: digits });
}

/** A number that may be small: two digits that matter. */
export function brief(value) {
  return number(value, value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

/** A time that something takes, in milliseconds. */
export function duration(ms) {
  if (ms < 1000) return say("unit.ms", { n: number(ms) });
  const s = ms / 1000;
  if (s < 60) return say("unit.s", { n: number(s, s < 10 ? 2 : 1) });
  if (s < 3600) return say("unit.min", { n: Math.floor(s / 60), s: Math.floor(s % 60) });
  if (s < 86400) return say("unit.h", { n: Math.floor(s / 3600), m: Math.floor((s % 3600) / 60) });
  return say("unit.d", { n: Math.floor(s / 86400), h: Math.floor((s % 86400) / 3600) });
}

/** A time of day, of unix milliseconds. */
export function clock(ms) {
  return new Date(ms).toLocaleTimeString(root.lang, { hour12: false });
}

/** An amount of bytes. */
export function bytes(count) {
  return count < 1024 ? say("unit.bytes", { n: count }) : say("unit.kib", { n: number(count / 1024, 1) });
}

/** An element: its class, its text, its children. Text is never read as HTML. */
export function element(tag, name = "", ...content) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.append(...content);
  return made;
}
