// The Vercel AI SDK with its provider for OpenAI-compatible servers.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { Output, jsonSchema } from 'ai';
import { check, ways } from './ai_sdk_provider.mjs';
import { asked, inEachDialect, parameters, pixel, prompt, said, scene, shown } from './scene.mjs';

const create = (baseURL, apiKey) =>
  createOpenAICompatible({ name: 'z2api', baseURL, apiKey, includeUsage: true });
check(create, { shown });

inEachDialect((dialect, baseURL) => {
  const { generate, stream } = ways(create(baseURL, scene.key));

  test('an image reaches a model that sees', async () => {
    const text = prompt({ say: 'A dot.' });
    const content = [{ type: 'text', text }, { type: 'file', mediaType: 'image/png', data: pixel }];
    const answer = await generate('GLM-4.5V', { messages: [{ role: 'user', content }] });
    assert.equal(answer.text, 'A dot.');
    const [{ body }] = await asked(text);
    const image = body.messages[0].content[1].image_url.url;
    assert.equal(image, dialect === 'openai' ? pixel : body.files[0].id);
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

  test('an object is read from a JSON answer', async () => {
    const output = Output.object({ schema: jsonSchema(parameters) });
    const asking = generate('GLM-4.5', { prompt: prompt({ say: '{"port": "Brest"}' }), output });
    if (dialect === 'zai-web') await assert.rejects(asking, { statusCode: 400, message: /`response_format`/ });
    else assert.deepEqual((await asking).output, { port: 'Brest' });
  });

  test('a busy upstream may be asked again, after the time it says', async () => {
    const text = prompt({ refuse: { status: 429, code: '1302', message: 'Busy.', retry_after: 1 } });
    const wrong = await generate('GLM-4.5', { prompt: text }).catch((error) => error);
    assert.deepEqual([wrong.statusCode, wrong.isRetryable], [429, true], `${wrong}`);
    assert(Number(wrong.responseHeaders['retry-after']) >= 1);
  });
});
