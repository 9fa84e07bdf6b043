// The Vercel AI SDK with its provider for the Responses API of any server.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOpenResponses } from '@ai-sdk/open-responses';
import { generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai';
import { check } from './ai_sdk_provider.mjs';
import { asked, inEachDialect, parameters, prompt, said, scene, thought } from './scene.mjs';

const create = (baseURL, apiKey) => createOpenResponses({ name: 'z2api', url: `${baseURL}/responses`, apiKey });
check(create);

inEachDialect((dialect, baseURL) => {
  // The web chat has no tools.
  if (dialect === 'zai-web') return;
  for (const how of ['whole', 'streamed']) {
    for (const model of ['GLM-4.5-Thinking', 'GLM-4.5']) {
      test(`a loop of several calls comes to its end with its thinking, ${how}, ${model}`, async () => {
        const ports = ['Gdańsk', 'Brest "W"', 'Oban'];
        const text = prompt(ports.reduceRight((then, port, at) => ({
          think: `${thought} ${at}`, call: [{ id: `call_${at}`, name: 'tide_at', arguments: { port } }], then,
        }), { say: said }));
        const heard = [];
        const execute = (given) => heard.push(given.port) && 'high';
        const tools = { tide_at: tool({ inputSchema: jsonSchema(parameters), execute }) };
        const options = {
          model: create(baseURL, scene.key)(model), prompt: text, tools, stopWhen: stepCountIs(5), maxRetries: 0,
        };
        const answer = how === 'whole' ? await generateText(options) : streamText(options);
        assert.equal(await answer.text, said);
        assert.deepEqual(heard, ports);
        const chats = await asked(text);
        assert.equal(chats.length, ports.length + 1);
        const turns = chats.at(-1).body.messages.filter((message) => message.role === 'assistant');
        const thinks = model.endsWith('Thinking');
        const thoughts = ports.map((_, at) => (thinks ? `${thought} ${at}` : undefined));
        assert.deepEqual(turns.map((turn) => turn.reasoning_content), thoughts);
      });
    }
  }
});
