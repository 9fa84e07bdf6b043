// How the page looks: both languages, both themes, wide and phone; with what axe knows of access.
// Leaves a screenshot of each.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { ask, browse, demo, KEY, noFaults, open, PHONE, state, WIDE } from "./stage.mjs";
import { words } from "./page/words.js";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const SHOTS = process.env.Z2API_SHOTS;

let browser;
let gateway;
before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  [browser, gateway] = await Promise.all([browse(), demo()]);
  // So that there is something to see.
  await Promise.all(Array.from({ length: 6 }, (_, at) => question(at)));
});
after(async () => {
  gateway?.stop();
  await browser?.close();
});

async function question(at) {
  const models = ["GLM-4.5-Thinking", "GLM-4.6", "GLM-4.7-Search", "no-such-model"];
  const body = { model: models[at % 4], stream: true, messages: [{ role: "user", content: "Why?" }] };
  const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers,
    body: JSON.stringify(body),
  });
  await response.text();
}

const background = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);

async function access(page) {
  // Added by the browser's own protocol, which the policy does not bind.
  await page.evaluate(await import("node:fs").then((fs) => fs.readFileSync(AXE, "utf8")));
  const { violations } = await page.evaluate(() =>
    axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] }),
  );
  return violations.map(
    ({ id, nodes }) =>
      `${id}: ${nodes.map((node) => `${node.html.slice(0, 120)} ${node.failureSummary}`).join("; ")}`,
  );
}

for (const [locale, live] of [
  ["en-US", "Live"],
  ["zh-CN", "运行中"],
]) {
  for (const scheme of ["light", "dark"]) {
    for (const [name, size] of [
      ["wide", WIDE],
      ["phone", PHONE],
    ]) {
      test(`it is whole and accessible: ${locale}, ${scheme}, ${name}`, async (t) => {
        const { page, faults } = await open(t, browser, gateway, { size, scheme, locale });
        await state(page, live);
        assert.equal(await page.getAttribute("html", "lang"), locale === "zh-CN" ? "zh-CN" : "en");
        await ask(page, "reasoning", locale === "zh-CN" ? "潮汐是怎么形成的？" : "How do tides work?");
        const [wide, inner] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert.ok(wide <= inner, `it scrolls sideways: ${wide} in ${inner}`);
        assert.deepEqual(await access(page), []);
        await page.evaluate(() => scrollTo(0, 0));
        await page.screenshot({ path: `${SHOTS}/${locale}-${scheme}-${name}.png`, fullPage: true });
        noFaults(faults);
      });
    }
  }
}

test("the language can be switched, and nothing of the other is left", async (t) => {
  const { page, faults } = await open(t, browser, gateway, { locale: "en-US" });
  await state(page, "Live");
  const said = () =>
    page.$$eval("[data-t]:not(#language)", (all) => all.map((one) => [one.dataset.t, one.textContent]));
  for (const [at, top] of [
    [1, "运行中"],
    [0, "Live"],
  ]) {
    await page.click("#language");
    await state(page, top);
    for (const [key, text] of await said()) assert.equal(text, words[key][at], key);
  }
  await page.click("#language");
  await page.reload();
  await state(page, "运行中");
  noFaults(faults);
});

test("on a phone each number of a table says what it is, and nothing is cut off", async (t) => {
  const { page, faults } = await open(t, browser, gateway, { size: PHONE });
  await state(page, "Live");
  await page.waitForSelector("#last td.number");
  const labels = await page.$$eval("#last tbody tr:last-child td.number", (all) =>
    all.map((cell) => getComputedStyle(cell, "::before").content.replace(/" " ?|["]/g, "").trim()),
  );
  assert.deepEqual(labels, ["Duration", "First token", "Tokens in → out", "Tokens/s"]);
  for (const table of ["tokens", "models", "last"]) {
    const [wide, seen] = await page.$eval(`.scroll:has(#${table})`, (part) => [
      part.scrollWidth,
      part.clientWidth,
    ]);
    assert.ok(wide <= seen, `${table}: ${wide} in ${seen}`);
  }
  noFaults(faults);
});

test("every word is there in both languages", () => {
  for (const [key, both] of Object.entries(words)) {
    assert.equal(both.length, 2, key);
    const open = (text) => (text.match(/\{\w+\}/g) ?? []).sort();
    assert.deepEqual(open(both[0]), open(both[1]), key);
  }
});

test("every word is said somewhere", async () => {
  const names = ["", "/main.js", "/chat.js", "/answer.js", "/raw.js", "/tables.js", "/chart.js", "/charts.js", "/say.js"];
  const texts = await Promise.all(names.map((name) => fetch(`${gateway.url}/dashboard${name}`)));
  const said = (await Promise.all(texts.map((response) => response.text()))).join("");
  // `live.${name}` says all that begins so.
  const begun = [...said.matchAll(/["`]([\w.]+\.)\$\{/g)].map(([, begin]) => begin);
  for (const key of Object.keys(words))
    assert.ok(said.includes(`"${key}"`) || begun.some((begin) => key.startsWith(begin)), key);
});

test("the theme follows the system until it is chosen", async (t) => {
  const { page, faults } = await open(t, browser, gateway, { scheme: "light" });
  await state(page, "Live");
  const light = await background(page);
  await page.emulateMedia({ colorScheme: "dark" });
  const dark = await background(page);
  assert.notEqual(light, dark);
  await page.click("#theme");
  assert.equal(await background(page), light);
  await page.reload();
  assert.equal(await background(page), light, "the choice is kept");
  noFaults(faults);
});
