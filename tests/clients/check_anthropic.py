"""Anthropic's Python package, sync and async, against the Messages API."""

import asyncio

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from scene import CALLS, KEY, PIXEL, SAID, SLOW, STALLED, THOUGHT, TOOL, asked, prompt, until_closed

THINKS = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048}
TIDE_AT = {
    "name": TOOL["function"]["name"],
    "description": TOOL["function"]["description"],
    "input_schema": TOOL["function"]["parameters"],
}


@pytest.fixture
def root(base_url):
    return base_url.removesuffix("/v1")


@pytest.fixture
def client(root):
    with Anthropic(base_url=root, api_key=KEY, max_retries=0, timeout=60) as client:
        yield client


def ask(content, model="GLM-4.5", **fields):
    request = {"model": model, "max_tokens": 1024, **fields}
    return {**request, "messages": [{"role": "user", "content": content}]}


def told(message):
    """The thinking and the text of a message."""
    blocks = {"thinking": "", "text": ""}
    for block in message.content:
        if block.type in blocks:
            blocks[block.type] += getattr(block, block.type)
    return blocks["thinking"], blocks["text"]


def both_ways(client, request):
    """The message, asked for whole and as a stream."""
    whole = client.messages.create(**request)
    with client.messages.stream(**request) as stream:
        streamed = stream.get_final_message()
    assert streamed.model_dump(exclude={"id"}) == whole.model_dump(exclude={"id"})
    return whole


def test_an_answer_is_the_same_streamed_and_whole(client):
    text = prompt(think=THOUGHT, say=SAID, usage={"prompt": 21, "completion": 34})
    message = both_ways(client, ask(text, **THINKS))
    assert told(message) == (THOUGHT, SAID)
    assert (message.stop_reason, message.model) == ("end_turn", "GLM-4.5")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (21, 34)
    assert message.id.startswith("msg_")


def test_without_thinking_there_is_none(client):
    message = both_ways(client, ask(prompt(say=SAID), thinking={"type": "disabled"}))
    assert told(message) == ("", SAID)


def test_names_of_claude_are_aliases(client):
    message = client.messages.create(**ask(prompt(say="x"), model="claude-sonnet-4-5"))
    assert message.model == "claude-sonnet-4-5"


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_called_in_several_turns(client, dialect, streamed):
    text = prompt(think=THOUGHT, call=CALLS, then={"say": SAID})
    request = ask(text, tools=[TIDE_AT], **THINKS)
    if dialect == "zai-web":
        with pytest.raises(anthropic.BadRequestError, match="tools"):
            client.messages.create(**request)
        return

    def turn():
        if not streamed:
            return client.messages.create(**request)
        with client.messages.stream(**request) as stream:
            return stream.get_final_message()

    first = turn()
    calls = [block for block in first.content if block.type == "tool_use"]
    assert first.stop_reason == "tool_use"
    assert [(call.id, call.name, call.input) for call in calls] == [
        (call["id"], call["name"], call["arguments"]) for call in CALLS
    ]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "high"} for call in calls]
    request["messages"] += [
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]},
        {"role": "user", "content": results},
    ]
    second = turn()
    assert (told(second)[1], second.stop_reason) == (SAID, "end_turn")
    _, heard = asked(text)
    _, assistant, *answers = heard["body"]["messages"]
    assert assistant["reasoning_content"] == THOUGHT
    assert [call["id"] for call in assistant["tool_calls"]] == ["call_1", "call_2"]
    assert [answer["tool_call_id"] for answer in answers] == ["call_1", "call_2"]


def test_an_image_reaches_a_model_that_sees(client, dialect):
    text = prompt(say="A dot.")
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL.partition(",")[2]}
    content = [{"type": "text", "text": text}, {"type": "image", "source": source}]
    assert told(client.messages.create(**ask(content, "GLM-4.5V")))[1] == "A dot."
    if dialect == "openai":
        (heard,) = asked(text)
        assert heard["body"]["messages"][0]["content"][1]["image_url"]["url"] == PIXEL


def test_a_stop_sequence_is_named(client):
    message = both_ways(client, ask(prompt(say="one END two"), stop_sequences=["END"]))
    assert (told(message)[1], message.stop_reason, message.stop_sequence) == ("one ", "stop_sequence", "END")


def test_tokens_are_counted_roughly(client):
    counted = client.messages.count_tokens(model="GLM-4.5", messages=[{"role": "user", "content": "12345678"}])
    assert counted.input_tokens == 6


@pytest.mark.parametrize(
    ("error", "kind", "fields"),
    [
        (anthropic.NotFoundError, "not_found_error", {"model": "claude"}),
        (anthropic.BadRequestError, "invalid_request_error", {"extra_body": {"temperature": "hot"}}),
        (anthropic.BadRequestError, "invalid_request_error", {"messages": []}),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_bad_request_is_an_error(client, error, kind, fields, streamed):
    with pytest.raises(error) as caught:
        client.messages.create(**{**ask("Why?"), **fields}, stream=streamed)
    assert caught.value.body["error"]["type"] == kind
    assert caught.value.request_id.startswith("req_")


def test_a_wrong_key_is_an_authentication_error(root):
    with pytest.raises(anthropic.AuthenticationError):
        Anthropic(base_url=root, api_key="wrong", max_retries=0).messages.create(**ask("Why?"))


def test_a_token_is_a_key_too(root):
    client = Anthropic(base_url=root, auth_token=KEY, api_key=None, max_retries=0)
    assert told(client.messages.create(**ask(prompt(say="x")))) == ("", "x")


@pytest.mark.parametrize("wish", [{"fail_after": 3}, {"cut_after": 3}])
def test_an_answer_that_breaks_off_raises(client, wish):
    text, heard = prompt(say=SAID, **wish), ""
    with pytest.raises(anthropic.APIStatusError) as caught:
        with client.messages.stream(**ask(text)) as stream:
            for piece in stream.text_stream:
                heard += piece
    assert heard and SAID.startswith(heard)
    assert caught.value.body["error"]["type"] == "api_error"
    with pytest.raises(anthropic.InternalServerError):
        client.messages.create(**ask(text))


def test_a_busy_upstream_is_a_rate_limit_that_says_how_long(client):
    text = prompt(refuse={"status": 429, "code": "1302", "message": "Busy.", "retry_after": 1})
    with pytest.raises(anthropic.RateLimitError) as caught:
        client.messages.create(**ask(text))
    assert int(caught.value.response.headers["retry-after"]) >= 1


def test_pings_are_passed_over(client):
    with client.messages.stream(**ask(prompt(**SLOW))) as stream:
        assert stream.get_final_text() == SAID


def test_a_reader_that_leaves_ends_the_upstreams_answer(client):
    text = prompt(**STALLED)
    with client.messages.stream(**ask(text)) as stream:
        next(iter(stream.text_stream))
    until_closed(text)


def test_many_at_once(root):
    async def one(client, number):
        request = ask(prompt(think=THOUGHT, say=f"{SAID}{number}", pace_ms=2), **THINKS)
        async with client.messages.stream(**request) as stream:
            message = await stream.get_final_message()
        assert told(message) == (THOUGHT, f"{SAID}{number}")

    async def everything():
        async with AsyncAnthropic(base_url=root, api_key=KEY, timeout=60) as client:
            await asyncio.gather(*(one(client, number) for number in range(8)))

    asyncio.run(everything())
