// OpenAI's package for Node against the Responses API.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import {
  asked, calls, inEachDialect, parameters, prompt, said, scene, slow, thought, untilClosed,
} from './scene.mjs';

inEachDialect((dialect, baseURL) => {
  const glm = new OpenAI({ baseURL, apiKey: scene.key, maxRetries: 0 });
  const ask = (input, fields) => ({ model: 'GLM-4.5', input, ...fields });
  const streamed = (request) => glm.responses.stream(request).finalResponse();
  const thinking = ({ output }) =>
    output.filter((item) => item.type === 'reasoning').flatMap((item) => [...item.summary, ...(item.content ?? [])])
      .map((part) => part.text).join('');

  test('an answer is the same streamed and whole', async () => {
    const request = ask(prompt({ think: thought, say: said, usage: { prompt: 21, completion: 34 } }), {
      model: 'GLM-4.5-Thinking',
    });
    for (const response of [await glm.responses.create(request), await streamed(request)]) {
      assert.deepEqual([thinking(response), response.output_text], [thought, said]);
      assert.equal(response.status, 'completed');
      assert.deepEqual([response.usage.input_tokens, response.usage.output_tokens], [21, 34]);
    }
  });

  test('tools are called in several turns', async () => {
    const tools = [{ type: 'function', name: 'tide_at', parameters, strict: false }];
    const text = prompt({ call: calls, then: { say: said } });
    if (dialect === 'zai-web') {
      await assert.rejects(glm.responses.create(ask(text, { tools })), { status: 400, param: 'tools' });
      return;
    }
    const first = await streamed(ask(text, { tools }));
    const made = first.output.filter((item) => item.type === 'function_call');
    assert.deepEqual(made.map((call) => JSON.parse(call.arguments)), calls.map((call) => call.arguments));
    const input = made.map(({ call_id }) => ({ type: 'function_call_output', call_id, output: 'high' }));
    const second = await streamed(ask(input, { tools, previous_response_id: first.id }));
    assert.equal(second.output_text, said);
    const [, { body }] = await asked(text);
    assert.deepEqual(body.messages.slice(2).map((message) => message.tool_call_id), ['call_1', 'call_2']);
  });

  // The web chat has no tools.
  if (dialect === 'openai') for (const [kept, model] of [[true, 'GLM-4.5-Thinking'], [false, 'GLM-4.5-Thinking'], [false, 'GLM-4.5']]) {
    test(`a loop of several calls comes to its end: ${kept ? 'kept' : 'carried'}, ${model}`, async () => {
      const tideAt = { type: 'function', name: 'tide_at', parameters, strict: false };
      const tools = [
        { type: 'namespace', name: 'mcp__tides', description: 'Tides.', tools: [tideAt] },
        { type: 'custom', name: 'note', format: { type: 'text' } },
      ];
      const wishes = [
        { id: 'call_0', name: 'mcp__tides__tide_at', arguments: { port: 'Brest' } },
        { id: 'call_1', name: 'note', arguments: { input: said } },
      ];
      const text = prompt(
        wishes.reduceRight((then, call) => ({ think: `${thought} ${call.id}`, call: [call], then }), { say: said }),
      );
      const request = ask([{ role: 'user', content: text }], { model, tools, store: kept });
      const told = [];
      let response;
      for (let turn = 0; turn <= wishes.length; turn++) {
        response = await streamed(request);
        const call = response.output.find((item) => item.type.endsWith('_call'));
        if (!call) break;
        told.push([call.namespace, call.name, call.input ?? JSON.parse(call.arguments)]);
        const outcome = { type: `${call.type}_output`, call_id: call.call_id, output: 'high' };
        if (kept) {
          Object.assign(request, { input: [outcome], previous_response_id: response.id });
        } else {
          // As agents give thinking back: what the server alone is to read.
          const carried = response.output.map(({ parsed_arguments, content, ...item }) =>
            item.type === 'reasoning' ? { ...item, summary: [] } : { ...item, ...(content && { content }) });
          request.input = [...request.input, ...carried, outcome];
        }
      }
      assert.equal(response.output_text, said);
      assert.deepEqual(told, [['mcp__tides', 'tide_at', { port: 'Brest' }], [undefined, 'note', said]]);
      const [, , { body }] = await asked(text);
      const turns = body.messages.filter((message) => message.role === 'assistant');
      const thinks = model.endsWith('Thinking');
      assert.deepEqual(
        turns.map((turn) => [turn.tool_calls[0].function.name, turn.reasoning_content]),
        wishes.map((call) => [call.name, thinks ? `${thought} ${call.id}` : undefined]),
      );
    });
  }

  test('an error has its class', async () => {
    await assert.rejects(glm.responses.create(ask('Why?', { model: 'gpt-4o' })), OpenAI.NotFoundError);
    const stranger = new OpenAI({ baseURL, apiKey: 'wrong', maxRetries: 0 });
    await assert.rejects(stranger.responses.create(ask('Why?')), OpenAI.AuthenticationError);
  });

  test('an answer that breaks off has failed', async () => {
    const events = [];
    const stream = await glm.responses.create(ask(prompt({ say: said, cut_after: 3 }), { stream: true }));
    for await (const event of stream) events.push(event);
    assert.equal(events.at(-1).type, 'response.failed');
    assert.equal(events.at(-1).response.error.code, 'upstream_disconnected');
    assert(!events.some((event) => event.type === 'response.completed'));
  });

  test('heartbeats are passed over', async () => {
    assert.equal((await streamed(ask(prompt(slow)))).output_text, said);
  });

  test("an aborted stream ends the upstream's answer", async () => {
    const text = prompt({ say: said, stall_after: 4 });
    const stream = await glm.responses.create(ask(text, { stream: true }));
    for await (const event of stream) if (event.type === 'response.output_text.delta') stream.controller.abort();
    await untilClosed(text);
  });
});
