// What the checks for Node share: prompts that tell the simulated upstream what to do, and what it
// was asked. `crates/upstream-sim/src/prompted` describes the fields of a prompt.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';

export const scene = JSON.parse(process.env.Z2API_STAGE);

export const thought = 'Ein Gedanke:\n  - erstens 山\n\nand a second one.';
export const said = ' Grüße, 世界! 🙂 "quoted" \\ back\n\n\t- a <b>&amp;</b> line \n';
export const pixel =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=';
/** An answer that makes one wait: heartbeats come before it. */
export const slow = { say: said, after_ms: 1500 };
export const page = { title: 'Tide tables', link: 'https://example.org/tides' };
export const calls = [
  { id: 'call_1', name: 'tide_at', arguments: { hour: 3, port: 'Gdańsk' } },
  { id: 'call_2', name: 'tide_at', arguments: { port: 'Brest "W"' } },
];
export const parameters = {
  type: 'object',
  properties: { port: { type: 'string' }, hour: { type: 'integer' } },
  required: ['port'],
};

/** Runs the checks once for each dialect of the upstream. */
export function inEachDialect(checks) {
  for (const dialect of ['zai-web', 'openai']) describe(dialect, () => checks(dialect, scene[dialect]));
}

/** A prompt that has the simulated upstream do what it says. */
export const prompt = (wish) => JSON.stringify({ ...wish, mark: randomUUID() });

/** What the simulated upstream was asked with this prompt: bodies and outcomes, oldest first. */
export async function asked(prompt) {
  const chats = await (await fetch(`${scene.sim}/sim/chats`)).json();
  return chats.filter((chat) => JSON.stringify(chat.body).includes(JSON.parse(prompt).mark));
}

/** Waits until the upstream has seen the end of the connection that this prompt came on. */
export async function untilClosed(prompt) {
  let outcomes = [];
  for (let tries = 0; tries < 1000; tries++) {
    outcomes = (await asked(prompt)).map((chat) => chat.outcome);
    if (outcomes.length > 0 && !outcomes.includes('running')) break;
    await wait(30);
  }
  assert.deepEqual(outcomes, ['peer_closed']);
}

/** What `thought` and `said` look like in a thinking mode: the content and the reasoning. */
export function shown(mode = scene.mode) {
  return {
    think: [`<think>\n${thought}\n</think>\n\n${said}`, ''],
    strip: [said, ''],
    reasoning: [said, thought],
  }[mode];
}
