"""OpenAI's Python package, sync and async, as a program uses it."""

import asyncio
import json

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from scene import (
    CALLS, HEARD, KEY, MODE, PAGE, PIXEL, SAID, SLOW, STALLED, THOUGHT, TOOL, asked, prompt, shown, until_closed,
)

THINKS = "GLM-4.5-Thinking"
STREAM = {"stream": True, "stream_options": {"include_usage": True}}


@pytest.fixture
def client(base_url):
    with OpenAI(base_url=base_url, api_key=KEY, max_retries=0, timeout=60) as client:
        yield client


def ask(text, model="GLM-4.5", **fields):
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


class Gathered:
    """What a program makes of a stream."""

    def __init__(self, chunks=()):
        self.content, self.reasoning, self.finish, self.usage = "", "", None, None
        self.ids, self.annotations = set(), []
        for chunk in chunks:
            self.add(chunk)

    def add(self, chunk):
        self.ids.add((chunk.id, chunk.created, chunk.model))
        self.usage = chunk.usage or self.usage
        for choice in chunk.choices:
            self.content += choice.delta.content or ""
            self.reasoning += getattr(choice.delta, "reasoning_content", None) or ""
            self.annotations += getattr(choice.delta, "annotations", None) or []
            self.finish = choice.finish_reason or self.finish


def told(completion):
    message = completion.choices[0].message
    return message.content, getattr(message, "reasoning_content", None) or ""


def test_the_models_are_listed_and_found(client):
    models = {model.id: model for model in client.models.list()}
    assert {"GLM-4.5", "GLM-4.5-Thinking", "GLM-4.5-Search"} <= models.keys()
    assert client.models.retrieve("GLM-4.5") == models["GLM-4.5"]


def test_an_answer_is_the_same_streamed_and_whole(client):
    text = prompt(say=SAID, usage={"prompt": 21, "completion": 34})
    whole = client.chat.completions.create(**ask(text))
    assert told(whole) == (SAID, "")
    assert (whole.model, whole.choices[0].finish_reason) == ("GLM-4.5", "stop")
    gathered = Gathered(client.chat.completions.create(**ask(text, **STREAM)))
    assert (gathered.content, gathered.finish) == (SAID, "stop")
    assert len(gathered.ids) == 1
    assert gathered.usage == whole.usage
    assert (whole.usage.prompt_tokens, whole.usage.total_tokens) == (21, 55)
    with client.chat.completions.stream(**ask(text)) as stream:
        assert stream.get_final_completion().choices[0].message.content == SAID


@pytest.mark.parametrize("mode", ["think", "strip", "reasoning"])
def test_each_thinking_mode_shows_what_it_should(client, mode):
    request = ask(prompt(think=THOUGHT, say=SAID), THINKS, extra_body={"reasoning_format": mode})
    assert told(client.chat.completions.create(**request)) == shown(mode)
    gathered = Gathered(client.chat.completions.create(**request, stream=True))
    assert (gathered.content, gathered.reasoning) == shown(mode)


def test_raw_mode_shows_the_upstreams_own_markup(client, dialect):
    text = prompt(think="hm", say=SAID)
    request = ask(text, THINKS, extra_headers={"x-z2api-think-mode": "raw"})
    content, reasoning = told(client.chat.completions.create(**request))
    assert content.endswith(SAID)
    if dialect == "zai-web":
        assert content.startswith("<details") and reasoning == ""
    else:
        assert (content, reasoning) == (SAID, "hm")


def test_the_gateways_own_mode_suits_this_client(client):
    whole = client.chat.completions.create(**ask(prompt(think=THOUGHT, say=SAID), THINKS))
    assert told(whole) == shown(MODE)


def call_of(call):
    return call.id, call.function.name, json.loads(call.function.arguments)


MEANT = [(call["id"], call["name"], call["arguments"]) for call in CALLS]


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_called_and_their_results_are_taken(client, dialect, streamed):
    text = prompt(think=THOUGHT, call=CALLS, then={"say": SAID})
    request = ask(text, THINKS, tools=[TOOL], extra_body={"reasoning_format": "reasoning"})
    if dialect == "zai-web":
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(**request, stream=streamed)
        assert caught.value.param == "tools" and asked(text) == []
        return

    def turn():
        if not streamed:
            return client.chat.completions.create(**request).choices[0]
        with client.chat.completions.stream(**request) as stream:
            return stream.get_final_completion().choices[0]

    first = turn()
    assert first.finish_reason == "tool_calls"
    assert [call_of(call) for call in first.message.tool_calls] == MEANT
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "high"} for call in first.message.tool_calls
    ]
    request["messages"] += [first.message.model_dump(exclude_unset=True), *results]
    second = turn()
    assert (second.message.content, second.finish_reason) == (SAID, "stop")
    _, heard = asked(text)
    assistant, *answers = heard["body"]["messages"][1:]
    assert [call["id"] for call in assistant["tool_calls"]] == ["call_1", "call_2"]
    assert assistant["reasoning_content"] == THOUGHT
    assert answers == results


def test_an_image_reaches_a_model_that_sees(client, dialect):
    text = prompt(say="A dot.")
    parts = [
        {"type": "text", "text": text},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
    ]
    answer = client.chat.completions.create(**ask(parts, "GLM-4.5V"))
    assert answer.choices[0].message.content == "A dot."
    if dialect == "openai":
        (heard,) = asked(text)
        assert heard["body"]["messages"][0]["content"][1]["image_url"]["url"] == PIXEL


def test_details_of_the_usage_are_passed_on_and_never_invented(client, dialect):
    usage = {"prompt": 9, "completion": 8, "cached": 4, "reasoning": 6}
    known = client.chat.completions.create(**ask(prompt(say="x", usage=usage))).usage
    if dialect == "openai":
        assert known.prompt_tokens_details.cached_tokens == 4
        assert known.completion_tokens_details.reasoning_tokens == 6
    plain = client.chat.completions.create(**ask(prompt(say="x"))).usage
    assert plain.prompt_tokens_details is None and plain.completion_tokens_details is None


@pytest.mark.parametrize(("upstream", "ours"), [("length", "length"), ("sensitive", "content_filter")])
def test_finish_reasons_are_openais(client, dialect, upstream, ours):
    if dialect == "zai-web":
        pytest.skip("the web chat names no finish reason")
    text = prompt(say="x", finish=upstream)
    assert client.chat.completions.create(**ask(text)).choices[0].finish_reason == ours
    assert Gathered(client.chat.completions.create(**ask(text, stream=True))).finish == ours


def test_a_citation_is_a_link_to_its_source_and_an_annotation(client, dialect):
    if dialect == "openai":
        pytest.skip("models of the official API search by a tool of its own")
    text = prompt(found=[PAGE], say="High water at noon{{0}}.")
    request = ask(text, "GLM-4.5-Search", extra_body={"reasoning_format": "strip"})
    whole = client.chat.completions.create(**request)
    linked = f"[0]({PAGE['link']})"
    assert whole.choices[0].message.content == f"High water at noon{linked}."
    (annotation,) = whole.choices[0].message.annotations
    cited = annotation.url_citation
    assert (cited.url, cited.title) == (PAGE["link"], PAGE["title"])
    assert whole.choices[0].message.content[cited.start_index : cited.end_index] == linked
    gathered = Gathered(client.chat.completions.create(**request, stream=True))
    assert gathered.content == whole.choices[0].message.content
    assert gathered.annotations == [annotation.model_dump()]


@pytest.mark.parametrize(
    ("error", "code", "param", "fields"),
    [
        (openai.NotFoundError, "model_not_found", "model", {"model": "gpt-4o"}),
        (openai.BadRequestError, None, "messages", {"messages": []}),
        (openai.BadRequestError, "unsupported_parameter", "n", {"n": 2}),
        (openai.BadRequestError, None, "temperature", {"temperature": "hot"}),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_bad_request_is_an_error_that_names_the_parameter(client, error, code, param, fields, streamed):
    with pytest.raises(error) as caught:
        client.chat.completions.create(**{**ask("Why?"), **fields}, stream=streamed)
    assert (caught.value.code, caught.value.param) == (code, param)
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id.startswith("req_")


def test_a_wrong_key_is_an_authentication_error(base_url):
    with pytest.raises(openai.AuthenticationError) as caught:
        OpenAI(base_url=base_url, api_key="wrong").models.list()
    assert caught.value.code == "invalid_api_key"


@pytest.mark.parametrize("wish", [{"fail_after": 3}, {"cut_after": 3}])
def test_an_answer_that_breaks_off_raises(client, wish):
    text = prompt(say=SAID, **wish)
    gathered = Gathered()
    with pytest.raises(openai.APIError) as caught:
        for chunk in client.chat.completions.create(**ask(text, stream=True)):
            gathered.add(chunk)
    assert SAID.startswith(gathered.content) and gathered.content and gathered.finish is None
    assert caught.value.body["message"] and caught.value.code.startswith("upstream_")
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(**ask(text))
    assert caught.value.status_code == 502


def test_the_older_text_completions_are_answered(client):
    text = prompt(say=SAID, usage={"prompt": 21, "completion": 34})
    whole = client.completions.create(model="GLM-4.5", prompt=text)
    assert (whole.choices[0].text, whole.choices[0].finish_reason) == (SAID, "stop")
    assert whole.usage.total_tokens == 55
    chunks = list(client.completions.create(model="GLM-4.5", prompt=text, **STREAM))
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == SAID
    assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == [55]
    with pytest.raises(openai.APIError):
        list(client.completions.create(model="GLM-4.5", prompt=prompt(say=SAID, cut_after=3), stream=True))


def test_a_base_url_without_v1_serves_too(base_url):
    with OpenAI(base_url=base_url.removesuffix("/v1"), api_key=KEY, max_retries=0, timeout=60) as client:
        assert told(client.chat.completions.create(**ask(prompt(say=SAID)))) == (SAID, "")


def test_what_is_not_offered_is_a_404_with_a_sentence(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.embeddings.create(model="GLM-4.5", input="Why?", encoding_format="float")
    assert "embeddings" in caught.value.body["message"]


def test_hints_that_are_left_out_are_named(client):
    request = ask(prompt(say="x"), seed=7, logit_bias={"50256": -100})
    raw = client.chat.completions.with_raw_response.create(**request)
    assert {"seed", "logit_bias"} <= set(raw.headers["x-z2api-ignored"].replace(",", " ").split())


def test_heartbeats_are_passed_over(client):
    stream = client.chat.completions.create(**ask(prompt(**SLOW), stream=True))
    assert Gathered(stream).content == SAID


def test_a_refusal_after_heartbeats_is_raised_within_the_stream(client):
    refusal = {"status": 400, "code": "1261", "message": "Too long."}
    stream = client.chat.completions.create(**ask(prompt(refuse=refusal, after_ms=1500), stream=True))
    with pytest.raises(openai.APIError) as caught:
        Gathered(stream)
    assert caught.value.type == "invalid_request_error"


def test_a_reader_that_leaves_ends_the_upstreams_answer(client):
    text = prompt(**STALLED)
    stream = client.chat.completions.create(**ask(text, stream=True))
    next(iter(stream))
    stream.close()
    until_closed(text)


def test_a_whole_answer_that_nobody_waits_for_ends_the_upstreams(base_url):
    text = prompt(**STALLED)

    async def leave():
        async with AsyncOpenAI(base_url=base_url, api_key=KEY, timeout=60) as client:
            asking = asyncio.create_task(client.chat.completions.create(**ask(text)))
            while not await asyncio.to_thread(asked, text):
                await asyncio.sleep(0.02)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

    asyncio.run(leave())
    until_closed(text)


def test_the_request_id_of_an_answer_is_the_one_in_its_head(client):
    raw = client.chat.completions.with_raw_response.create(**ask(prompt(say="x")))
    assert raw.headers["x-request-id"] == raw.parse()._request_id


def test_many_at_once_and_a_cancelled_task(base_url):
    async def streamed(client, number):
        text = prompt(say=f"{SAID}{number}", pace_ms=2)
        stream = await client.chat.completions.create(**ask(text, **STREAM))
        gathered = Gathered()
        async for chunk in stream:
            gathered.add(chunk)
        assert gathered.content == f"{SAID}{number}" and gathered.usage

    async def whole(client, number):
        answer = await client.chat.completions.create(**ask(prompt(say=f"{SAID}{number}")))
        assert answer.choices[0].message.content == f"{SAID}{number}"

    async def cancelled(client):
        text, gathered, heard = prompt(**STALLED), Gathered(), asyncio.Event()

        async def read():
            async for chunk in await client.chat.completions.create(**ask(text, stream=True)):
                gathered.add(chunk)
                if gathered.content == HEARD:
                    heard.set()

        reading = asyncio.create_task(read())
        await heard.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await asyncio.to_thread(until_closed, text)

    async def everything():
        async with AsyncOpenAI(base_url=base_url, api_key=KEY, timeout=60) as client:
            asking = [task(client, number) for number in range(8) for task in (streamed, whole)]
            await asyncio.gather(cancelled(client), *asking)

    asyncio.run(everything())


def test_a_json_answer_is_asked_for_where_there_is_one(client, dialect):
    text = prompt(say='{"tide": "high"}')
    request = ask(text, response_format={"type": "json_object"})
    if dialect == "zai-web":
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(**request)
        assert caught.value.param == "response_format"
        return
    assert json.loads(told(client.chat.completions.create(**request))[0]) == {"tide": "high"}
    assert asked(text)[0]["body"]["response_format"] == {"type": "json_object"}


def test_the_packages_own_retries_stop_where_they_cannot_help(base_url):
    client = OpenAI(base_url=base_url, api_key=KEY, max_retries=2, timeout=60)
    text = prompt(refuse={"status": 400, "code": "1210", "message": "A parameter is wrong."})
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(**ask(text))
    assert len(asked(text)) == 1


def test_a_busy_upstream_is_a_rate_limit_that_says_how_long(client):
    text = prompt(refuse={"status": 429, "code": "1302", "message": "Busy.", "retry_after": 1})
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(**ask(text))
    assert caught.value.code == "rate_limit_exceeded"
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 60
