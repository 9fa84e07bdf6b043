// Anthropic's package for Node, against the Messages API.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import {
  asked, calls, inEachDialect, parameters, prompt, said, scene, slow, thought, untilClosed,
} from './scene.mjs';

inEachDialect((dialect, url) => {
  const baseURL = url.replace(/\/v1$/, '');
  const glm = new Anthropic({ baseURL, apiKey: scene.key, maxRetries: 0 });
  const ask = (content, fields) => ({
    model: 'GLM-4.5', max_tokens: 2048, messages: [{ role: 'user', content }], ...fields,
  });
  const thinking = { type: 'enabled', budget_tokens: 1024 };
  const told = (message, kind) =>
    message.content.filter((block) => block.type === kind).map((block) => block[kind]).join('');

  test('an answer is the same streamed and whole', async () => {
    const request = ask(prompt({ think: thought, say: said, usage: { prompt: 21, completion: 34 } }), { thinking });
    const whole = await glm.messages.create(request);
    const streamed = await glm.messages.stream(request).finalMessage();
    for (const message of [whole, streamed]) {
      assert.deepEqual([told(message, 'thinking'), told(message, 'text')], [thought, said]);
      assert.equal(message.stop_reason, 'end_turn');
      assert.deepEqual([message.usage.input_tokens, message.usage.output_tokens], [21, 34]);
    }
  });

  test('tools are called in several turns', async () => {
    const tools = [{ name: 'tide_at', description: 'The tide at a port.', input_schema: parameters }];
    const text = prompt({ think: thought, call: calls, then: { say: said } });
    const request = ask(text, { tools, thinking });
    if (dialect === 'zai-web') {
      await assert.rejects(glm.messages.create(request), { status: 400 });
      return;
    }
    const first = await glm.messages.stream(request).finalMessage();
    const uses = first.content.filter((block) => block.type === 'tool_use');
    assert.deepEqual(uses.map(({ id, name, input }) => ({ id, name, arguments: input })), calls);
    const results = uses.map(({ id }) => ({ type: 'tool_result', tool_use_id: id, content: 'high' }));
    request.messages.push({ role: 'assistant', content: first.content }, { role: 'user', content: results });
    const second = await glm.messages.stream(request).finalMessage();
    assert.deepEqual([told(second, 'text'), second.stop_reason], [said, 'end_turn']);
    const [, { body }] = await asked(text);
    assert.deepEqual(body.messages.slice(2).map((message) => message.tool_call_id), ['call_1', 'call_2']);
  });

  for (const type of ['enabled', 'disabled']) {
    test(`a loop goes through several tool turns, thinking ${type}`, async (t) => {
      if (dialect === 'zai-web') return t.skip('it has no tools');
      const tools = [{ name: 'tide_at', input_schema: parameters }];
      const last = { think: 'Now.', say: said };
      const wish = { think: thought, call: calls.slice(0, 1), then: { think: 'Once more.', call: calls.slice(1), then: last } };
      const request = ask(prompt(wish), { tools, thinking: type === 'enabled' ? thinking : { type } });
      const heard = [];
      for (let turn = 0; turn < 5 && heard.at(-1)?.stop_reason !== 'end_turn'; turn += 1) {
        const message = await glm.messages.stream(request).finalMessage();
        heard.push(message);
        const uses = message.content.filter((block) => block.type === 'tool_use');
        const results = uses.map(({ id }) => ({ type: 'tool_result', tool_use_id: id, content: 'high' }));
        request.messages.push({ role: 'assistant', content: message.content }, { role: 'user', content: results });
      }
      assert.deepEqual(heard.map((message) => message.stop_reason), ['tool_use', 'tool_use', 'end_turn']);
      const thoughts = type === 'enabled' ? [thought, 'Once more.', 'Now.'] : ['', '', ''];
      assert.deepEqual(heard.map((message) => told(message, 'thinking')), thoughts);
      assert.equal(told(heard[2], 'text'), said);
    });
  }

  test('an error has its class, and a request id', async () => {
    const unknown = glm.messages.create(ask('Why?', { model: 'gpt-4o' })).catch((error) => error);
    const wrong = await unknown;
    assert(wrong instanceof Anthropic.NotFoundError, `${wrong}`);
    assert.match(wrong.requestID, /^req_/);
    const stranger = new Anthropic({ baseURL, apiKey: 'wrong', maxRetries: 0 });
    await assert.rejects(stranger.messages.create(ask('Why?')), Anthropic.AuthenticationError);
  });

  for (const fault of [{ fail_after: 3 }, { cut_after: 3 }]) {
    test(`an answer that breaks off is an error: ${JSON.stringify(fault)}`, async () => {
      let heard = '';
      const stream = glm.messages.stream(ask(prompt({ say: said, ...fault })));
      stream.on('text', (piece) => (heard += piece));
      await assert.rejects(stream.finalMessage(), Anthropic.APIError);
      assert(heard && said.startsWith(heard), heard);
    });
  }

  test('pings are passed over', async () => {
    assert.equal(await glm.messages.stream(ask(prompt(slow))).finalText(), said);
  });

  test("an aborted stream ends the upstream's answer", async () => {
    const text = prompt({ say: said, stall_after: 4 });
    const stream = glm.messages.stream(ask(text));
    stream.on('text', () => stream.abort());
    await assert.rejects(stream.done(), Anthropic.APIUserAbortError);
    await untilClosed(text);
  });
});
