// Server-sent events out of a fetched body. EventSource cannot send a key in a header, and a key
// must never be in an address.

/** No event of ours comes near: a stream without an end of an event must not fill the memory. */
const LONGEST = 16 * 1024 * 1024;

/** The events of a body as they come: the raw text of each, and its data (null for a comment). */
export async function* events(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += decoder.decode(value, { stream: !done });
      const blocks = rest.split(/\r?\n\r?\n/);
      rest = blocks.pop();
      for (const raw of blocks) if (raw) yield { raw, data: dataOf(raw) };
      if (rest.length > LONGEST) throw new Error("an event without an end");
      if (done) break;
    }
    // Half an event is none; but who looks at the raw stream should see it.
    if (rest.trim()) yield { raw: rest, data: null };
  } finally {
    reader.cancel().catch(() => {}); // It has ended or broken by itself.
  }
}

function dataOf(raw) {
  const lines = raw.split(/\r?\n/).filter((line) => line.startsWith("data:"));
  return lines.length ? lines.map((line) => line.slice(5).replace(/^ /, "")).join("\n") : null;
}
