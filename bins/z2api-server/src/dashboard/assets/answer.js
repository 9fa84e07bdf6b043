// An answer of the chat, while it comes and when it is there.
import { Growing } from "./growing.js";
import { brief, duration, element, number, say } from "./say.js";

/** Thinking and answer out of the content of the `think` mode; of all of it, or of its beginning. */
function split(content, isWhole = true) {
  const open = "<think>";
  if (!isWhole && open.startsWith(content)) return { thinking: "", answer: "" };
  if (!content.startsWith(open)) return { thinking: "", answer: content };
  const end = content.indexOf("</think>");
  if (end < 0) return { thinking: content.slice(open.length).replace(/^\n/, ""), answer: "" };
  // The line breaks around the tags belong to the tags, and no others.
  const thinking = content.slice(open.length, end).replace(/^\n/, "").replace(/\n$/, "");
  return { thinking, answer: content.slice(end + "</think>".length).replace(/^\n\n/, "") };
}

/** An answer on its way: what came, and where it is shown. */
export class Answer {
  constructor(model, think) {
    Object.assign(this, {
      think,
      content: "",
      reasoning: "",
      usage: null,
      finish: null,
      error: null,
      note: null,
      first: null,
      done: false,
      id: null,
    });
    this.began = performance.now();
    this.summary = element("summary");
    this.thought = new Growing();
    this.details = element("details", "thinking", this.summary, this.thought.element);
    this.details.open = true;
    this.waiting = element("p", "waiting");
    this.text = new Growing();
    this.facts = element("p", "facts");
    this.complaint = element("p", "complaint");
    const head = element("h4", "", model, " ", element("span", "tag", think));
    this.article = element(
      "article",
      "said model",
      head,
      this.waiting,
      this.details,
      this.text.element,
      this.complaint,
      this.facts,
    );
    this.draw();
  }

  take(chunk) {
    if (chunk.error) this.error = chunk.error.message ?? JSON.stringify(chunk.error);
    if (chunk.usage) this.usage = chunk.usage;
    const choice = chunk.choices?.[0];
    if (!choice) return;
    const { content, reasoning_content: reasoning } = choice.delta ?? {};
    if (content || reasoning) this.first ??= performance.now() - this.began;
    this.content += content ?? "";
    this.reasoning += reasoning ?? "";
    this.finish = choice.finish_reason ?? this.finish;
  }

  end() {
    if (this.frame) cancelAnimationFrame(this.frame);
    this.took = performance.now() - this.began;
    this.done = true;
    this.draw();
  }

  /** One drawing a frame is enough, however many chunks come. */
  drawSoon() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  /** Thinking and answer apart. In the `raw` mode they come as one, and stay so. */
  parts() {
    if (this.think === "think") return split(this.content, this.done);
    return { thinking: this.reasoning, answer: this.content };
  }

  draw() {
    const parts = this.parts();
    const log = document.getElementById("said");
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    this.summary.textContent = say("chat.thinking");
    this.details.hidden = !parts.thinking;
    this.thought.show(parts.thinking);
    this.text.show(parts.answer);
    this.waiting.textContent = say("chat.waiting");
    this.waiting.hidden = this.done || Boolean(this.content || this.reasoning);
    this.complaint.textContent = [this.error, this.note && say(this.note)].filter(Boolean).join(" ");
    this.complaint.hidden = !this.complaint.textContent;
    this.facts.textContent = this.done ? this.#facts().join(" · ") : "";
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  #facts() {
    const facts = [];
    if (this.first !== null) facts.push(say("chat.first", { time: duration(this.first) }));
    facts.push(say("chat.took", { time: duration(this.took) }));
    const tokens = this.usage?.completion_tokens;
    if (tokens) facts.push(say("chat.tokens", { n: number(tokens) }));
    if (tokens && this.first !== null && this.took > this.first) {
      facts.push(say("chat.speed", { n: brief((tokens * 1000) / (this.took - this.first)) }));
    }
    if (this.finish) facts.push(say("chat.finish", { why: this.finish }));
    if (this.id) facts.push(this.id);
    return facts;
  }
}
