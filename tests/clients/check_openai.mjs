// OpenAI's package for Node, as a program uses it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import {
  asked, calls, inEachDialect, page, parameters, pixel, prompt, said, scene, shown, slow, thought, untilClosed,
} from './scene.mjs';

const tools = [{ type: 'function', function: { name: 'tide_at', parameters } }];
const usage = { stream_options: { include_usage: true } };

function ask(text, model = 'GLM-4.5', fields = {}) {
  return { model, messages: [{ role: 'user', content: text }], ...fields };
}

/** What a program makes of a stream. */
async function gather(stream, gathered = {}) {
  Object.assign(gathered, { content: '', reasoning: '', finish: null, ids: new Set() });
  for await (const chunk of stream) {
    gathered.ids.add(`${chunk.id} ${chunk.created} ${chunk.model}`);
    gathered.usage = chunk.usage ?? gathered.usage;
    for (const { delta, finish_reason } of chunk.choices) {
      gathered.content += delta.content ?? '';
      gathered.reasoning += delta.reasoning_content ?? '';
      gathered.finish = finish_reason ?? gathered.finish;
    }
  }
  return gathered;
}

const told = ({ choices: [{ message }] }) => [message.content, message.reasoning_content ?? ''];

inEachDialect((dialect, baseURL) => {
  const client = new OpenAI({ baseURL, apiKey: scene.key, maxRetries: 0, timeout: 60_000 });
  const create = (request, options) => client.chat.completions.create(request, options);

  test('the models are listed and found', async () => {
    const models = {};
    for await (const model of client.models.list()) models[model.id] = model;
    assert.deepEqual(await client.models.retrieve('GLM-4.5'), models['GLM-4.5']);
    assert(models['GLM-4.5-Thinking'] && models['GLM-4.5-Search']);
  });

  test('an answer is the same streamed and whole', async () => {
    const text = prompt({ say: said, usage: { prompt: 21, completion: 34 } });
    const whole = await create(ask(text));
    assert.deepEqual(told(whole), [said, '']);
    const gathered = await gather(await create(ask(text, 'GLM-4.5', { stream: true, ...usage })));
    assert.equal(gathered.content, said);
    assert.equal(gathered.finish, 'stop');
    assert.equal(gathered.ids.size, 1);
    assert.deepEqual(gathered.usage, whole.usage);
    assert.equal(whole.usage.total_tokens, 55);
    const helped = await client.chat.completions.stream(ask(text)).finalChatCompletion();
    assert.equal(helped.choices[0].message.content, said);
  });

  for (const mode of ['think', 'strip', 'reasoning']) {
    test(`the mode ${mode} shows what it should`, async () => {
      const request = ask(prompt({ think: thought, say: said }), 'GLM-4.5-Thinking', { reasoning_format: mode });
      assert.deepEqual(told(await create(request)), shown(mode));
      const { content, reasoning } = await gather(await create({ ...request, stream: true }));
      assert.deepEqual([content, reasoning], shown(mode));
    });
  }

  test("the gateway's own mode suits this client", async () => {
    const whole = await create(ask(prompt({ think: thought, say: said }), 'GLM-4.5-Thinking'));
    assert.deepEqual(told(whole), shown());
  });

  for (const streamed of [false, true]) {
    test(`tools are called and their results are taken, ${streamed ? 'streamed' : 'whole'}`, async () => {
      const text = prompt({ call: calls, then: { say: said } });
      const request = ask(text, 'GLM-4.5', { tools });
      if (dialect === 'zai-web') {
        await assert.rejects(create(request), { name: 'Error', status: 400, param: 'tools' });
        return;
      }
      const turn = async () => {
        const answer = streamed
          ? await client.chat.completions.stream(request).finalChatCompletion()
          : await create(request);
        return answer.choices[0];
      };
      const first = await turn();
      assert.equal(first.finish_reason, 'tool_calls');
      const heard = first.message.tool_calls.map(({ id, function: { name, arguments: json } }) => ({
        id, name, arguments: JSON.parse(json),
      }));
      assert.deepEqual(heard, calls);
      const results = heard.map(({ id }) => ({ role: 'tool', tool_call_id: id, content: 'high' }));
      request.messages.push(first.message, ...results);
      assert.equal((await turn()).message.content, said);
      assert.deepEqual((await asked(text))[1].body.messages.slice(2), results);
    });
  }

  test('the tool runner goes the whole way', { skip: dialect === 'zai-web' }, async () => {
    const ports = [];
    const tide = { name: 'tide_at', parameters, parse: JSON.parse, function: ({ port }) => ports.push(port) && 'high' };
    const request = ask(prompt({ call: calls, then: { say: said } }), 'GLM-4.5', {
      tools: [{ type: 'function', function: tide }],
    });
    for (const stream of [false, true]) {
      const runner = client.chat.completions.runTools({ ...request, stream });
      assert.equal(await runner.finalContent(), said);
    }
    assert.deepEqual(ports, ['Gdańsk', 'Brest "W"', 'Gdańsk', 'Brest "W"']);
  });

  test('an image reaches a model that sees', async () => {
    const text = prompt({ say: 'A dot.' });
    const parts = [{ type: 'text', text }, { type: 'image_url', image_url: { url: pixel } }];
    assert.deepEqual(told(await create(ask(parts, 'GLM-4.5V'))), ['A dot.', '']);
    const [{ body }] = await asked(text);
    const image = body.messages[0].content[1].image_url.url;
    assert.equal(image, dialect === 'openai' ? pixel : body.files[0].id);
  });

  test('details of the usage are passed on', { skip: dialect === 'zai-web' }, async () => {
    const counted = { prompt: 9, completion: 8, cached: 4, reasoning: 6 };
    const { usage } = await create(ask(prompt({ say: 'x', usage: counted })));
    assert.equal(usage.prompt_tokens_details.cached_tokens, 4);
    assert.equal(usage.completion_tokens_details.reasoning_tokens, 6);
  });

  test('a citation is a link, and its page an annotation', { skip: dialect === 'openai' }, async () => {
    const text = prompt({ found: [page], say: 'High water at noon{{0}}.' });
    const { message } = (await create(ask(text, 'GLM-4.5-Search', { reasoning_format: 'strip' }))).choices[0];
    assert.equal(message.content, `High water at noon[0](${page.link}).`);
    const [{ type, url_citation: cited }] = message.annotations;
    assert.deepEqual([type, cited.url, cited.title], ['url_citation', page.link, page.title]);
  });

  test('a bad request is an error that names the parameter', async () => {
    const cases = [
      [OpenAI.NotFoundError, 'model', { model: 'gpt-4o' }],
      [OpenAI.BadRequestError, 'messages', { messages: [] }],
      [OpenAI.BadRequestError, 'n', { n: 2 }],
    ];
    for (const [kind, param, fields] of cases) {
      const wrong = await create({ ...ask('Why?'), ...fields }).catch((error) => error);
      assert(wrong instanceof kind, `${wrong}`);
      assert.deepEqual([wrong.param, wrong.type], [param, 'invalid_request_error']);
      assert.match(wrong.requestID, /^req_/);
    }
  });

  test('a wrong key is an authentication error', async () => {
    const stranger = new OpenAI({ baseURL, apiKey: 'wrong', maxRetries: 0 });
    const wrong = await stranger.chat.completions.create(ask('Why?')).catch((error) => error);
    assert(wrong instanceof OpenAI.AuthenticationError, `${wrong}`);
    assert.equal(wrong.code, 'invalid_api_key');
  });

  for (const fault of [{ fail_after: 3 }, { cut_after: 3 }]) {
    test(`an answer that breaks off throws: ${JSON.stringify(fault)}`, async () => {
      const text = prompt({ say: said, ...fault });
      const gathered = {};
      const wrong = await gather(await create(ask(text, 'GLM-4.5', { stream: true })), gathered).catch((e) => e);
      assert(wrong instanceof OpenAI.APIError, `${wrong}`);
      assert(gathered.content && said.startsWith(gathered.content), gathered.content);
      assert.equal(gathered.finish, null);
      const whole = await create(ask(text)).catch((error) => error);
      assert.equal(whole.status, 502, `${whole}`);
    });
  }

  test('heartbeats are passed over', async () => {
    const stream = await create(ask(prompt(slow), 'GLM-4.5', { stream: true }));
    assert.equal((await gather(stream)).content, said);
  });

  test("a reader that leaves ends the upstream's answer", async () => {
    const text = prompt({ say: said, stall_after: 4 });
    const stream = await create(ask(text, 'GLM-4.5', { stream: true }));
    for await (const chunk of stream) if (chunk.choices[0].delta.content) break;
    await untilClosed(text);
  });

  test("an aborted request ends the upstream's answer", async () => {
    const text = prompt({ say: said, stall_after: 4 });
    const abort = new AbortController();
    const answer = create(ask(text), { signal: abort.signal });
    const caught = answer.catch((error) => error);
    while ((await asked(text)).length === 0);
    abort.abort();
    assert((await caught) instanceof OpenAI.APIUserAbortError);
    await untilClosed(text);
  });

  test('a busy upstream is a rate limit that says how long', async () => {
    const text = prompt({ refuse: { status: 429, code: '1302', message: 'Busy.', retry_after: 1 } });
    const wrong = await create(ask(text)).catch((error) => error);
    assert(wrong instanceof OpenAI.RateLimitError, `${wrong}`);
    assert.equal(wrong.code, 'rate_limit_exceeded');
    assert(Number(wrong.headers.get('retry-after')) >= 1);
  });
});
