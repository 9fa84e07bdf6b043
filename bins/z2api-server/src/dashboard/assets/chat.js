// A small chat: asks the gateway as any client does, and shows the stream beside the answer.
import { Answer } from "./answer.js";
import { canBeKey, hold, recall } from "./keys.js";
import { addRaw, clearRaw, countRaw, drawRaw } from "./raw.js";
import { element, say, sayIn } from "./say.js";
import { events } from "./sse.js";

const COMPLETIONS = new URL("../v1/chat/completions", import.meta.url);
const MODELS = new URL("../v1/models", import.meta.url);
const KEY = "z2api-key";

const $ = (id) => document.getElementById(id);
const mode = () => document.querySelector("input[name=mode]:checked").value;

/** What was said so far, as the next request has it. */
let messages = [];
/** Stops the answer that is coming. */
let running = null;
let models = [];
/** The answers, to be said again in another language. */
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
  const wanted = [before, names.find((name) => name.endsWith("-Thinking")), names[0]].find((name) =>
    names.includes(name),
  );
  if (wanted) $("model").value = wanted;
}

async function askModels(key) {
  if (!canBeKey(key)) return;
  try {
    const response = await fetch(MODELS, { headers: { authorization: `Bearer ${key}` }, cache: "no-store" });
    if (response.ok) setModels((await response.json()).data.map((model) => model.id));
  } catch {
    // The page says so already, at its top.
  }
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
  const response = await fetch(COMPLETIONS, {
    method: "POST",
    headers,
    body: JSON.stringify(body),
    signal,
    cache: "no-store",
  });
  answer.id = response.headers.get("x-request-id");
  if (!response.ok) {
    const text = await response.text();
    addRaw({ raw: text, data: null }, performance.now() - answer.began, "error");
    answer.error = refusal(response.status, text);
    return;
  }
  let whole = false;
  for await (const event of events(response.body)) {
    addRaw(event, performance.now() - answer.began);
    if (event.data === "[DONE]") whole = true;
    else if (event.data !== null) answer.take(JSON.parse(event.data));
    answer.drawSoon();
  }
  if (!whole && !answer.error) answer.note = "chat.broken";
}

async function send(text) {
  const [model, think] = [$("model").value, mode()];
  messages.push({ role: "user", content: text });
  const asked = element(
    "article",
    "said user",
    element("h4", "", say("chat.you")),
    element("div", "text", text),
  );
  const answer = new Answer(model, think);
  answers.push(answer);
  $("said-none").hidden = true;
  $("said").append(asked, answer.article);
  $("said").scrollTop = $("said").scrollHeight;
  clearRaw();
  running = new AbortController();
  busy(true);
  try {
    const body = {
      model,
      messages,
      stream: true,
      stream_options: { include_usage: true },
      reasoning_format: think,
    };
    await stream(answer, body, running.signal);
  } catch (error) {
    answer.note =
      error.name === "AbortError"
        ? "chat.stopped"
        : answer.content || answer.reasoning
          ? "chat.broken"
          : "chat.unreachable";
  }
  running = null;
  answer.end();
  drawRaw();
  busy(false);
  const said = answer.parts().answer;
  // A question that was not answered is not asked again with the next one.
  if (answer.finish && said) messages.push({ role: "assistant", content: said });
  else messages.pop();
}

function busy(is) {
  const onSend = document.activeElement === $("send");
  $("send").hidden = is;
  $("stop").hidden = !is;
  $("said").setAttribute("aria-busy", String(is));
  // Who used the keyboard is not thrown back to the top of the page.
  if (is && onSend) $("stop").focus();
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
  if (key) sayIn($("chat-complaint"), key);
  $("chat-complaint").hidden = !key;
}

function submit(event) {
  event.preventDefault();
  const text = $("message").value.trim();
  if (running || !text) return;
  const key = $("key").value.trim();
  if (!canBeKey(key)) {
    complain(key ? "key.letters" : "chat.key.asks");
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
  $("key").value = recall(KEY);
  askModels($("key").value);
  $("key").addEventListener("change", () => {
    $("key").value = $("key").value.trim();
    hold(KEY, $("key").value);
    complain(null);
    askModels($("key").value);
  });
  $("chat").addEventListener("submit", submit);
  $("message").addEventListener("keydown", (event) => {
    // While a Chinese word is being composed, Enter belongs to the input method.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
  });
  $("stop").addEventListener("click", () => running?.abort());
  $("chat").addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.isComposing) running?.abort();
  });
  $("new-chat").addEventListener("click", newChat);
  for (const choice of document.querySelectorAll("input[name=mode]"))
    choice.addEventListener("change", sayChat);
  sayChat();
}
