// A small chat: asks the gateway as any client does, and shows the stream beside the answer.
import { brief, bytes, duration, element, number, say } from "./say.js";
import { events } from "./sse.js";

const COMPLETIONS = new URL("../v1/chat/completions", import.meta.url);
const MODELS = new URL("../v1/models", import.meta.url);
const KEY = "z2api-key";
/** So many raw events are shown. */
const RAW_SHOWN = 1000;

const $ = (id) => document.getElementById(id);
const mode = () => document.querySelector("input[name=mode]:checked").value;

/** What was said so far, as the next request has it. */
let messages = [];
/** Stops the answer that is coming. */
let running = null;
let models = [];
/** How many raw events came, and how large they were. */
let raw = { count: 0, size: 0 };
/** The last answer, to be said again in another language. */
let answers = [];

/** The models as the gateway shows them, until a key tells which of them it may ask. */
export function offerModels(names) {
  if (!models.length) setModels(names);
}

function setModels(names) {
  models = names;
  const before = $("model").value;
  const options = names.map((name) => {
    const option = element("option", "", name);
    option.value = name;
    return option;
  });
  $("model").replaceChildren(...options);
  const wanted = [before, names.find((name) => name.endsWith("-Thinking")), names[0]].find((name) => names.includes(name));
  if (wanted) $("model").value = wanted;
}

async function askModels(key) {
  if (!key) return;
  try {
    const response = await fetch(MODELS, { headers: { authorization: `Bearer ${key}` }, cache: "no-store" });
    if (response.ok) setModels((await response.json()).data.map((model) => model.id));
  } catch {
    // The page says so already, at its top.
  }
}

/** Thinking and answer out of the content of the `think` mode. */
export function split(content) {
  const open = "<think>";
  if (!content || open.startsWith(content)) return { thinking: "", answer: "" };
  if (!content.startsWith(open)) return { thinking: "", answer: content };
  const end = content.indexOf("</think>");
  if (end < 0) return { thinking: content.slice(open.length).trimStart(), answer: "" };
  const thinking = content.slice(open.length, end).trim();
  return { thinking, answer: content.slice(end + "</think>".length).trimStart() };
}

/** An answer on its way: what came, and where it is shown. */
class Answer {
  constructor(model, think) {
    Object.assign(this, { think, content: "", reasoning: "", usage: null, finish: null, error: null, note: null, first: null, done: false, id: null });
    this.began = performance.now();
    this.summary = element("summary");
    this.thought = element("div", "text");
    this.details = element("details", "thinking", this.summary, this.thought);
    this.details.open = true;
    this.text = element("div", "text");
    this.facts = element("p", "facts");
    this.complaint = element("p", "complaint");
    const head = element("h4", "", model, " ", element("span", "tag", think));
    this.article = element("article", "said model", head, this.details, this.text, this.complaint, this.facts);
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

  draw() {
    const parts = this.think === "think" ? split(this.content) : { thinking: this.reasoning, answer: this.content };
    const log = $("said");
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    this.summary.textContent = say("chat.thinking");
    this.details.hidden = !parts.thinking;
    this.thought.textContent = parts.thinking;
    const waiting = !this.done && !this.content && !this.reasoning;
    this.text.textContent = waiting ? say("chat.waiting") : parts.answer;
    this.text.classList.toggle("waiting", waiting);
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

function kindOf(event) {
  if (event.data === null) return "comment";
  if (event.data === "[DONE]") return "end";
  return event.data.startsWith('{"error"') ? "error" : "";
}

function showRaw(event, after, kind = kindOf(event)) {
  raw.count += 1;
  raw.size += new TextEncoder().encode(event.raw).length;
  const list = $("raw");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  const item = element("li", kind, element("time", "", `+${(after / 1000).toFixed(2)}`), element("code", "", event.raw));
  list.append(item);
  if (list.children.length > RAW_SHOWN) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
  countRaw();
}

function countRaw() {
  $("raw-none").hidden = raw.count > 0;
  const said = raw.count ? say("raw.count", { n: number(raw.count), bytes: bytes(raw.size) }) : "";
  const dropped = raw.count > RAW_SHOWN ? ` ${say("raw.dropped", { n: number(raw.count - RAW_SHOWN) })}` : "";
  $("raw-count").textContent = said + dropped;
}

function clearRaw() {
  raw = { count: 0, size: 0 };
  $("raw").replaceChildren();
  countRaw();
}

/** What a refusal says of itself. */
function refusal(status, text) {
  try {
    return say("chat.failed", { status, message: JSON.parse(text).error.message });
  } catch {
    return say("chat.failed", { status, message: text.slice(0, 500) });
  }
}

async function stream(answer, body, signal) {
  const headers = { authorization: `Bearer ${$("key").value}`, "content-type": "application/json" };
  const response = await fetch(COMPLETIONS, { method: "POST", headers, body: JSON.stringify(body), signal, cache: "no-store" });
  answer.id = response.headers.get("x-request-id");
  if (!response.ok) {
    const text = await response.text();
    showRaw({ raw: text, data: null }, performance.now() - answer.began, "error");
    answer.error = refusal(response.status, text);
    return;
  }
  let whole = false;
  for await (const event of events(response.body)) {
    showRaw(event, performance.now() - answer.began);
    if (event.data === "[DONE]") whole = true;
    else if (event.data !== null) answer.take(JSON.parse(event.data));
    answer.drawSoon();
  }
  if (!whole && !answer.error) answer.note = "chat.broken";
}

async function send(text) {
  const [model, think] = [$("model").value, mode()];
  messages.push({ role: "user", content: text });
  const asked = element("article", "said user", element("h4", "", say("chat.you")), element("div", "text", text));
  const answer = new Answer(model, think);
  answers.push(answer);
  $("said-none").hidden = true;
  $("said").append(asked, answer.article);
  $("said").scrollTop = $("said").scrollHeight;
  clearRaw();
  running = new AbortController();
  busy(true);
  try {
    const body = { model, messages, stream: true, stream_options: { include_usage: true }, reasoning_format: think };
    await stream(answer, body, running.signal);
  } catch (error) {
    answer.note = error.name === "AbortError" ? "chat.stopped" : answer.content || answer.reasoning ? "chat.broken" : "chat.unreachable";
  }
  running = null;
  answer.end();
  busy(false);
  const said = think === "think" ? split(answer.content).answer : answer.content;
  // A question that was not answered is not asked again with the next one.
  if (answer.finish && said) messages.push({ role: "assistant", content: said });
  else messages.pop();
}

function busy(is) {
  $("send").hidden = is;
  $("stop").hidden = !is;
  $("said").setAttribute("aria-busy", String(is));
  if (!is && document.activeElement === document.body) $("message").focus();
}

function newChat() {
  running?.abort();
  messages = [];
  answers = [];
  $("said").replaceChildren($("said-none"));
  $("said-none").hidden = false;
  clearRaw();
  $("message").focus();
}

function complain(key) {
  $("chat-complaint").textContent = key ? say(key) : "";
  $("chat-complaint").hidden = !key;
}

function submit(event) {
  event.preventDefault();
  const text = $("message").value.trim();
  if (running || !text) return;
  if (!$("key").value.trim()) {
    complain("chat.key.asks");
    $("key").focus();
    return;
  }
  complain(null);
  $("message").value = "";
  send(text);
}

/** Says everything again, in the language of now. */
export function sayChat() {
  $("mode-is").textContent = say(`chat.mode.${mode()}.is`);
  for (const heading of document.querySelectorAll(".said.user h4")) heading.textContent = say("chat.you");
  for (const answer of answers) answer.draw();
  countRaw();
}

export function startChat() {
  // For this tab only: gone when it is closed.
  $("key").value = sessionStorage.getItem(KEY) ?? "";
  askModels($("key").value);
  $("key").addEventListener("change", () => {
    $("key").value = $("key").value.trim();
    sessionStorage.setItem(KEY, $("key").value);
    complain(null);
    askModels($("key").value);
  });
  $("chat").addEventListener("submit", submit);
  $("message").addEventListener("keydown", (event) => {
    // While a Chinese word is being composed, Enter belongs to the input method.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
  });
  $("stop").addEventListener("click", () => running?.abort());
  $("new-chat").addEventListener("click", newChat);
  for (const choice of document.querySelectorAll("input[name=mode]")) choice.addEventListener("change", sayChat);
  sayChat();
}
