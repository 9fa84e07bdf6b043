// What the Vercel AI SDK has to do with each provider.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { APICallError, generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai';
import {
  asked, calls, inEachDialect, parameters, prompt, said, scene, slow, thought, untilClosed,
} from './scene.mjs';

/** The SDK's two ways to ask with this provider, without retries and without words on the console. */
export const ways = (provider) => {
  const quiet = { maxRetries: 0, onError() {} };
  return {
    generate: (model, options) => generateText({ model: provider(model), ...quiet, ...options }),
    stream: (model, options) => streamText({ model: provider(model), ...quiet, ...options }),
  };
};

/**
 * Checks a provider, made by `create(baseURL, apiKey)`. `thinks` are the options that ask for thinking; `shown` gives
 * the content and the thinking that are to be seen.
 */
export const check = (create, { thinks = {}, shown = () => [said, thought] } = {}) => inEachDialect((dialect, baseURL) => {
  const { generate, stream } = ways(create(baseURL, scene.key));

  test('an answer is the same streamed and whole', async () => {
    const text = prompt({ think: thought, say: said, usage: { prompt: 21, completion: 34 } });
    const whole = await generate('GLM-4.5-Thinking', { prompt: text, ...thinks });
    const streamed = stream('GLM-4.5-Thinking', { prompt: text, ...thinks });
    assert.deepEqual([whole.text, whole.reasoningText ?? ''], shown());
    assert.deepEqual([await streamed.text, (await streamed.reasoningText) ?? ''], shown());
    for (const usage of [whole.usage, await streamed.usage]) {
      assert.deepEqual([usage.inputTokens, usage.outputTokens, usage.totalTokens], [21, 34, 55]);
    }
    assert.deepEqual([whole.finishReason, await streamed.finishReason], ['stop', 'stop']);
  });

  for (const how of ['whole', 'streamed']) {
    test(`tools are called in several turns, ${how}`, async () => {
      const text = prompt({ call: calls, then: { say: said } });
      const heard = [];
      const execute = (given) => heard.push(given) && 'high';
      const tools = { tide_at: tool({ inputSchema: jsonSchema(parameters), execute }) };
      const options = { prompt: text, tools, stopWhen: stepCountIs(3) };
      if (dialect === 'zai-web') {
        await assert.rejects(generate('GLM-4.5', options), { statusCode: 400, message: /`tools`/ });
        return;
      }
      const answer = how === 'whole' ? await generate('GLM-4.5', options) : stream('GLM-4.5', options);
      assert.equal(await answer.text, said);
      assert.deepEqual(heard, calls.map((call) => call.arguments));
      const [, second] = await asked(text);
      assert.deepEqual(second.body.messages.slice(2).map((message) => message.tool_call_id), ['call_1', 'call_2']);
    });
  }

  for (const how of ['whole', 'streamed']) {
    test(`a loop goes through several tool turns, ${how}`, async (t) => {
      if (dialect === 'zai-web') return t.skip('it has no tools');
      const [first, second] = calls;
      const text = prompt({ call: [first], then: { call: [second], then: { say: said } } });
      const heard = [];
      const execute = (given) => heard.push(given) && 'high';
      const tools = { tide_at: tool({ inputSchema: jsonSchema(parameters), execute }) };
      const options = { prompt: text, tools, stopWhen: stepCountIs(5) };
      const answer = how === 'whole' ? await generate('GLM-4.5', options) : stream('GLM-4.5', options);
      assert.equal(await answer.text, said);
      assert.equal((await answer.steps).length, 3);
      assert.deepEqual(heard, [first.arguments, second.arguments]);
      const [, , { body }] = await asked(text);
      assert.deepEqual(body.messages.map((message) => message.role), ['user', 'assistant', 'tool', 'assistant', 'tool']);
    });
  }

  test('an error carries its status and our words', async () => {
    const wrong = await generate('gpt-4o', { prompt: 'Why?' }).catch((error) => error);
    assert(APICallError.isInstance(wrong), `${wrong}`);
    assert.deepEqual([wrong.statusCode, wrong.isRetryable], [404, false]);
    assert.match(wrong.message, /The model `gpt-4o` does not exist/);
    const stranger = ways(create(baseURL, 'wrong'));
    await assert.rejects(stranger.generate('GLM-4.5', { prompt: 'Why?' }), { statusCode: 401 });
  });

  for (const fault of [{ fail_after: 3 }, { cut_after: 3 }]) {
    test(`an answer that breaks off is no whole one: ${JSON.stringify(fault)}`, async () => {
      const parts = [];
      for await (const part of stream('GLM-4.5', { prompt: prompt({ say: said, ...fault }) }).fullStream) parts.push(part);
      const heard = parts.filter((part) => part.type === 'text-delta').map((part) => part.text).join('');
      assert(heard && said.startsWith(heard), heard);
      const end = parts.find((part) => part.type === 'finish');
      assert(parts.some((part) => part.type === 'error') || end?.finishReason === 'error', JSON.stringify(parts));
    });
  }

  test('heartbeats are passed over', async () => {
    assert.equal(await stream('GLM-4.5', { prompt: prompt(slow) }).text, said);
  });

  test("an aborted stream ends the upstream's answer", async () => {
    const text = prompt({ say: said, stall_after: 4 });
    const abort = new AbortController();
    const { fullStream } = stream('GLM-4.5', { prompt: text, abortSignal: abort.signal });
    for await (const part of fullStream) if (part.type === 'text-delta') abort.abort();
    await untilClosed(text);
  });
});
