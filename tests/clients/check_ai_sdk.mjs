// The Vercel AI SDK with its provider for OpenAI-compatible servers.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, Output, generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai';
import {
  asked, calls, inEachDialect, parameters, pixel, prompt, said, scene, shown, slow, thought, untilClosed,
} from './scene.mjs';

inEachDialect((dialect, baseURL) => {
  const provider = (apiKey) =>
    createOpenAICompatible({ name: 'z2api', baseURL, apiKey, includeUsage: true });
  const glm = provider(scene.key);
  const quiet = { maxRetries: 0, onError() {} };
  const generate = (model, options) => generateText({ model: glm(model), ...quiet, ...options });
  const stream = (model, options) => streamText({ model: glm(model), ...quiet, ...options });

  test('an answer is the same streamed and whole', async () => {
    const text = prompt({ think: thought, say: said, usage: { prompt: 21, completion: 34 } });
    const whole = await generate('GLM-4.5-Thinking', { prompt: text });
    const streamed = stream('GLM-4.5-Thinking', { prompt: text });
    const [content, reasoning] = shown();
    assert.deepEqual([whole.text, whole.reasoningText ?? ''], [content, reasoning]);
    assert.deepEqual([await streamed.text, (await streamed.reasoningText) ?? ''], [content, reasoning]);
    for (const usage of [whole.usage, await streamed.usage]) {
      assert.deepEqual([usage.inputTokens, usage.outputTokens, usage.totalTokens], [21, 34, 55]);
    }
    assert.deepEqual([whole.finishReason, await streamed.finishReason], ['stop', 'stop']);
  });

  for (const how of ['whole', 'streamed']) {
    test(`tools are called and their results are taken, ${how}`, async () => {
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

  test('an image reaches a model that sees', async () => {
    const text = prompt({ say: 'A dot.' });
    const content = [{ type: 'text', text }, { type: 'file', mediaType: 'image/png', data: pixel }];
    const answer = await generate('GLM-4.5V', { messages: [{ role: 'user', content }] });
    assert.equal(answer.text, 'A dot.');
    const [{ body }] = await asked(text);
    const image = body.messages[0].content[1].image_url.url;
    assert.equal(image, dialect === 'openai' ? pixel : body.files[0].id);
  });

  test('an error carries its status and our words', async () => {
    const wrong = await generate('gpt-4o', { prompt: 'Why?' }).catch((error) => error);
    assert(APICallError.isInstance(wrong), `${wrong}`);
    assert.deepEqual([wrong.statusCode, wrong.isRetryable], [404, false]);
    assert.match(wrong.message, /The model `gpt-4o` does not exist/);
    const stranger = { model: provider('wrong')('GLM-4.5'), prompt: 'Why?', ...quiet };
    await assert.rejects(generateText(stranger), { statusCode: 401 });
  });

  for (const fault of [{ fail_after: 3 }, { cut_after: 3 }]) {
    test(`an answer that breaks off is an error: ${JSON.stringify(fault)}`, async () => {
      const text = prompt({ say: said, ...fault });
      const parts = [];
      for await (const part of stream('GLM-4.5', { prompt: text }).fullStream) parts.push(part);
      const heard = parts.filter((part) => part.type === 'text-delta').map((part) => part.text).join('');
      assert(heard && said.startsWith(heard), heard);
      assert.match(JSON.stringify(parts.find((part) => part.type === 'error')?.error ?? parts), /upstream/i);
      await assert.rejects(generate('GLM-4.5', { prompt: text }), { statusCode: 502 });
    });
  }

  test('heartbeats are passed over', async () => {
    assert.equal(await stream('GLM-4.5', { prompt: prompt(slow) }).text, said);
  });

  test('an object is read from a JSON answer', async () => {
    const output = Output.object({ schema: jsonSchema(parameters) });
    const asking = generate('GLM-4.5', { prompt: prompt({ say: '{"port": "Brest"}' }), output });
    if (dialect === 'zai-web') await assert.rejects(asking, { statusCode: 400, message: /`response_format`/ });
    else assert.deepEqual((await asking).output, { port: 'Brest' });
  });

  test("an aborted stream ends the upstream's answer", async () => {
    const text = prompt({ say: said, stall_after: 4 });
    const abort = new AbortController();
    const { fullStream } = stream('GLM-4.5', { prompt: text, abortSignal: abort.signal });
    for await (const part of fullStream) if (part.type === 'text-delta') abort.abort();
    await untilClosed(text);
  });

  test('a busy upstream may be asked again, after the time it says', async () => {
    const text = prompt({ refuse: { status: 429, code: '1302', message: 'Busy.', retry_after: 1 } });
    const wrong = await generate('GLM-4.5', { prompt: text }).catch((error) => error);
    assert.deepEqual([wrong.statusCode, wrong.isRetryable], [429, true], `${wrong}`);
    assert(Number(wrong.responseHeaders['retry-after']) >= 1);
  });
});
