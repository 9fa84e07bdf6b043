// Keeps keys for this tab alone: they are gone when it is closed.
const held = new Map();

/** Whether a text can be a key: what a header can carry. */
export const canBeKey = (text) => /^[\x21-\x7e]+$/.test(text);

/** The key that was held under a name, or nothing. */
export function recall(name) {
  try {
    return sessionStorage.getItem(name) ?? "";
  } catch {
    return held.get(name) ?? "";
  }
}

/** Holds a key; an empty one is forgotten. */
export function hold(name, key) {
  try {
    if (key) sessionStorage.setItem(name, key);
    else sessionStorage.removeItem(name);
  } catch {
    held.set(name, key); // A browser may forbid it; then a reload forgets the key.
  }
}
