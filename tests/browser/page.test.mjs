// The live page in a browser: the numbers, the chat, and who may see them.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ask, browse, demo, ended, KEY, noFaults, open, PUBLIC_NAME, state } from "./stage.mjs";

let browser;
let gateway;
before(async () => ([browser, gateway] = await Promise.all([browse(), demo()])));
after(async () => {
  gateway?.stop();
  await browser?.close();
});

/** The pieces that the raw events carry in a field, joined. */
function piecesOf(raw, field) {
  const data = raw.map((event) => event.replace(/^data: /, "")).filter((data) => data !== "[DONE]");
  return data.map((data) => JSON.parse(data).choices[0]?.delta[field] ?? "").join("");
}

const count = (page, selector) => page.locator(selector).count();

test("each thinking mode shows its thinking and its answer, and the raw events beside them", async (t) => {
  const { page, faults } = await open(t, browser, gateway);
  await state(page, "Live");

  const think = await ask(page, "think", "How do tides work?");
  assert.match(think.thinking, /^Somebody asks: “How do tides work\?”/);
  assert.match(think.answer, /^You asked: “How do tides work\?”.*再见/s);
  const content = piecesOf(think.raw, "content");
  assert.equal(content, `<think>\n${think.thinking}\n</think>\n\n${think.answer}`);
  assert.match(think.facts, /first token .* tokens .* finish: stop · req_/);

  const reasoning = await ask(page, "reasoning", "And the moon?");
  assert.equal(reasoning.thinking, piecesOf(reasoning.raw, "reasoning_content"));
  assert.equal(reasoning.answer, piecesOf(reasoning.raw, "content"));
  assert.match(reasoning.thinking, /^Somebody asks: “And the moon\?”/);

  const strip = await ask(page, "strip", "And the sun?");
  assert.equal(strip.thinking, "");
  assert.match(strip.answer, /^You asked: “And the sun\?”/);

  const asIs = await ask(page, "raw", "And the wind?");
  assert.equal(asIs.answer, piecesOf(asIs.raw, "content"));
  assert.match(asIs.answer, /<details[^>]*>.*Somebody asks.*You asked/s);

  for (const { raw, complaint } of [think, reasoning, strip, asIs]) {
    assert.equal(raw.at(-1), "data: [DONE]");
    assert.equal(complaint, "");
  }
  noFaults(faults);
});

test("the charts move, and a page that comes later knows the past", async (t) => {
  const { page, faults } = await open(t, browser, gateway);
  await state(page, "Live");
  await page.waitForFunction(() => document.querySelectorAll("#chart-first circle").length >= 4);
  assert.equal(await count(page, "#last tbody tr"), 4);
  assert.ok((await count(page, "#chart-requests rect")) >= 1);
  assert.ok((await count(page, "#chart-speed circle")) >= 4);
  assert.match(await page.textContent("#models tbody tr"), /GLM-4\.5.*ok.*4/);
  assert.match(await page.textContent("#tokens tbody tr"), /guest.*ok/);

  const place = () => page.getAttribute("#chart-first circle", "cx");
  const before = await place();
  await page.waitForFunction(
    (before) => document.querySelector("#chart-first circle").getAttribute("cx") !== before,
    before,
  );

  await page.fill("#key", KEY);
  await page.fill("#message", "Once more?");
  await page.press("#message", "Enter");
  await page.waitForFunction(() =>
    document.querySelector("#chart-load .value").textContent.startsWith("1 of"),
  );
  await ended(page);
  await page.waitForFunction(() => document.querySelectorAll("#last tbody tr").length === 5);
  await page.waitForFunction(() => document.querySelectorAll("#chart-first circle").length >= 5);
  noFaults(faults);
});

test("tokens per second rise while an answer comes, not when it is over", async (t) => {
  const own = await demo();
  t.after(own.stop);
  const { page, faults } = await open(t, browser, own);
  await state(page, "Live");
  assert.equal(await page.textContent("#chart-speed .value"), "0/s");
  await page.fill("#key", KEY);
  await page.fill("#message", "Tell me much");
  await page.press("#message", "Enter");
  await page.waitForFunction(() => {
    const running = getComputedStyle(document.getElementById("stop")).display !== "none";
    return running && parseFloat(document.querySelector("#chart-speed .value").textContent) > 0;
  });
  assert.equal(await count(page, "#last tbody tr td.id"), 0, "nothing has ended yet");
  await page.click("#stop");
  noFaults(faults);
});

test("a page that opens shows how it was before", async (t) => {
  const own = await demo();
  t.after(own.stop);
  const points = (page) =>
    page.evaluate(() => {
      const lines = ["load", "memory"].map((name) => document.querySelector(`#chart-${name} path.line`));
      return Math.min(...lines.map((line) => (line?.getAttribute("d").match(/[ML]/g) ?? []).length));
    });
  const { page: first } = await open(t, browser, own);
  await state(first, "Live");
  for (let known = 0; known < 5; ) known = await points(first);
  const { page: second, faults } = await open(t, browser, own);
  await state(second, "Live");
  assert.ok((await points(second)) >= 5, "lines of the time before it");
  noFaults(faults);
});

test("a wrong key is told, counted as the client's error, and the next question works", async (t) => {
  const { page, faults } = await open(t, browser, gateway);
  await state(page, "Live");
  const refused = await ask(page, "reasoning", "Who am I?", "not-a-key");
  assert.match(refused.complaint, /^401: The API key is not valid/);
  assert.match(refused.raw.join(""), /invalid_api_key/);
  await page.waitForSelector("#chart-errors rect.c2", { state: "attached" });
  assert.match(await page.textContent("#chart-errors figcaption"), /in 5 min [1-9]/);
  assert.match(await page.textContent("#chart-errors .legend"), /client [1-9].*gateway 0.*upstream 0/);
  await page.check("#failed-only");
  assert.match(await page.textContent("#last tbody tr"), /401.*client · invalid_api_key/);
  assert.equal(await count(page, "#last tbody tr"), 1);
  const asked = page.waitForRequest((request) => request.url().endsWith("/chat/completions"));
  const answered = await ask(page, "reasoning", "Who am I now?");
  assert.equal(
    JSON.parse((await asked).postData()).messages.length,
    1,
    "what was refused is not asked again",
  );
  assert.match(answered.answer, /Who am I now/);
  assert.ok(
    faults.every((fault) => /status of 401/.test(fault)),
    String(faults),
  );
});

test("what a model says is text, never markup", async (t) => {
  const { page, faults } = await open(t, browser, gateway);
  await state(page, "Live");
  const evil = "<img src=x onerror=alert(1)><script>1</script>";
  const { answer } = await ask(page, "strip", evil);
  assert.ok(answer.includes(evil), answer);
  assert.equal(await count(page, "#said img, #said script, #raw img, #raw script"), 0);
  noFaults(faults);
});

test("an answer can be stopped, and its slot comes back", async (t) => {
  const { page, faults } = await open(t, browser, gateway);
  await state(page, "Live");
  await page.fill("#key", KEY);
  await page.fill("#message", "Tell me much");
  await page.press("#message", "Enter");
  await page.waitForSelector("#raw li");
  await page.click("#stop");
  const { complaint } = await ended(page);
  assert.equal(complaint, "You stopped it.");
  await page.waitForFunction(() =>
    document.querySelector("#chart-load .value").textContent.startsWith("0 of"),
  );
  await page.waitForFunction(() => document.querySelector("#last tbody tr").textContent.includes("499"));
  noFaults(faults);
});

test("keys stay in the tab, and a new chat forgets the old one", async (t) => {
  const { page } = await open(t, browser, gateway);
  await state(page, "Live");
  await ask(page, "strip", "Hello");
  await page.click("#new-chat");
  assert.equal(await count(page, ".said"), 0);
  const kept = await page.evaluate(() => [
    JSON.stringify({ ...localStorage }),
    document.cookie,
    location.href,
  ]);
  assert.ok(
    kept.every((place) => !place.includes(KEY)),
    String(kept),
  );
  await page.reload();
  assert.equal(await page.inputValue("#key"), KEY, "the tab still has it");
});

test("what is marked in a table stays marked while requests go on", async (t) => {
  const { page, faults } = await open(t, browser, gateway);
  await state(page, "Live");
  const [id] = /req_\w+/.exec((await ask(page, "strip", "Hello")).facts);
  const rows = () => page.locator("#last td.id").allTextContents();
  const becomes = (is, id) =>
    page.waitForFunction(
      ([is, id]) => (document.querySelector("#last td.id")?.textContent === id) === is,
      [is, id],
    );
  await becomes(true, id);
  const before = await rows();
  await page.evaluate(() => getSelection().selectAllChildren(document.querySelector("#last td.id")));
  const body = JSON.stringify({ model: "GLM-4.5", messages: [] });
  await fetch(`${gateway.url}/v1/chat/completions`, { method: "POST", body });
  await becomes(false, id);
  assert.deepEqual((await rows()).slice(1), before);
  const marked = await page.evaluate(() => {
    const second = document.querySelectorAll("#last td.id")[1];
    return second.contains(getSelection().anchorNode) && String(getSelection()).trim();
  });
  assert.equal(marked, id);
  noFaults(faults);
});

test("the keyboard reaches the charts and moves through time", async (t) => {
  const { page, faults } = await open(t, browser, gateway);
  await state(page, "Live");
  await page.waitForSelector("#chart-requests rect", { state: "attached" });
  await page.focus("#chart-requests svg");
  await page.keyboard.press("ArrowLeft");
  assert.equal(await count(page, "#chart-requests .cursor"), 1);
  assert.match(await page.textContent("#chart-requests .legend"), /at \d+:\d+:\d+/);
  await page.keyboard.press("Tab");
  assert.equal(await count(page, "#chart-requests .cursor"), 0);
  noFaults(faults);
});

test("with an ADMIN_KEY the numbers need it, and it is in no address", async (t) => {
  const guarded = await demo({ ADMIN_KEY: "an-admin-key-0001" });
  t.after(guarded.stop);
  const { page, faults } = await open(t, browser, guarded);
  await page.waitForSelector("#lock", { state: "visible" });
  await state(page, "Key needed");
  for (const part of ["#charts", "#facts", "#upstream", "#requests"])
    assert.ok(!(await page.isVisible(part)), `${part} has nothing to show`);
  assert.ok(await page.isVisible("#try"));
  await page.fill("#admin-key", "wrong");
  await page.press("#admin-key", "Enter");
  await page.waitForSelector("#lock-wrong", { state: "visible" });
  const sent = page.waitForRequest(
    (request) => request.headers().authorization === "Bearer an-admin-key-0001",
  );
  await page.fill("#admin-key", "an-admin-key-0001");
  await page.press("#admin-key", "Enter");
  assert.equal((await sent).url(), `${guarded.url}/dashboard/events`);
  await state(page, "Live");
  assert.ok(!(await page.isVisible("#lock")));
  assert.ok(
    faults.every((fault) => /status of 401/.test(fault)),
    String(faults),
  );
});

test("the page says when the gateway is gone, and follows the next one", async (t) => {
  const first = await demo();
  const { page } = await open(t, browser, first);
  await state(page, "Live");
  first.stop();
  assert.equal(await first.ended, 0, "a watcher holds up no stop");
  await state(page, "again in");
  assert.match(await page.textContent("#notice"), /^The numbers below are those of \d+:\d+:\d+\.$/);
  const second = await demo({ PORT: new URL(first.url).port });
  t.after(second.stop);
  await state(page, "Live");
  assert.ok(!(await page.isVisible("#notice")));
  assert.ok(!(await page.isVisible("#updated")), "it is the same version");
});

test("numbers that are refused are no lost connection: the gateway's reason is shown", async (t) => {
  const { port } = new URL(gateway.url);
  const { page } = await open(t, browser, { url: `http://${PUBLIC_NAME}:${port}` });
  await state(page, "Refused");
  assert.match(await page.textContent("#notice"), /^403: .*localhost.*ADMIN_KEY/);
  assert.ok(!(await page.isVisible("#charts")));
});

test("a page of before an update asks to be loaded again", async (t) => {
  const { page } = await open(t, browser, gateway);
  await state(page, "Live");
  const watching = await fetch(`${gateway.url}/dashboard/events`);
  const reader = watching.body.pipeThrough(new TextDecoderStream()).getReader();
  let told = "";
  while (!told.endsWith("\n\n")) told += (await reader.read()).value;
  await reader.cancel();
  const body = told + told.replace(/"page":"\w+"/, '"page":"another"');
  await page.route("**/dashboard/events", (route) => route.fulfill({ contentType: "text/event-stream", body }));
  await page.reload();
  await page.waitForSelector("#updated", { state: "visible" });
  await page.unrouteAll();
  await page.click("#reload");
  await state(page, "Live");
  assert.ok(!(await page.isVisible("#updated")));
});

test("an answer of a megabyte stands there whole, in parts that are quickly drawn", async (t) => {
  const { page, faults } = await open(t, browser, gateway);
  await state(page, "Live");
  const line = "A line of an answer that does not end soon, <b>with</b> 汉字 in it.\n";
  const said = line.repeat(16_000);
  const chunk = (delta, finish_reason = null) => ({ choices: [{ index: 0, delta, finish_reason }] });
  const pieces = said.match(/[^]{1,200}/g).map((content) => chunk({ content }));
  const events = [...pieces, chunk({}, "stop")].map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`);
  await page.route("**/v1/chat/completions", (route) =>
    route.fulfill({ contentType: "text/event-stream", body: `${events.join("")}data: [DONE]\n\n` }),
  );
  const { answer, raw, complaint } = await ask(page, "reasoning", "Tell me all");
  assert.equal(complaint, "");
  assert.ok(answer === said, `${answer.length} of ${said.length}`);
  assert.equal(raw.length, 1000);
  assert.equal(raw.at(-1), "data: [DONE]");
  assert.match(
    await page.textContent("#raw-count"),
    /^[\d,]+ events, .* The first [\d,]+ are not shown any more\.$/,
  );
  const longest = await page.$$eval(".said.model .block", (all) =>
    Math.max(...all.map((block) => block.textContent.length)),
  );
  assert.ok(longest > 0 && longest < 3000, `a part of ${longest} letters`);
  noFaults(faults);
});

test("a key that no header can carry is told, and nothing is asked", async (t) => {
  const { page, faults } = await open(t, browser, gateway);
  await state(page, "Live");
  page.on("request", (request) => /\/v1\//.test(request.url()) && faults.push(`asks ${request.url()}`));
  await page.fill("#message", "Hello");
  for (const key of ["密钥", "two words"]) {
    await page.fill("#key", key);
    await page.press("#message", "Enter");
    await page.waitForSelector("#chat-complaint", { state: "visible" });
    assert.match(await page.textContent("#chat-complaint"), /ASCII/);
  }
  await page.click("#language");
  assert.match(await page.textContent("#chat-complaint"), /密钥只能/);
  noFaults(faults);
});

test("the keyboard alone sends a question and stops its answer", async (t) => {
  const { page, faults } = await open(t, browser, gateway);
  await state(page, "Live");
  await page.fill("#key", KEY);
  for (const stop of ["Enter", "Escape"]) {
    await page.fill("#message", "Tell me much");
    await page.focus("#send");
    await page.keyboard.press("Enter");
    await page.waitForSelector("#raw li");
    assert.equal(await page.evaluate(() => document.activeElement.id), "stop");
    await page.keyboard.press(stop);
    assert.equal((await ended(page)).complaint, "You stopped it.");
  }
  noFaults(faults);
});
