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
    assert plain(streamed) == plain(whole)
    return whole


def plain(message):
    """The message without its name, and without the mark that its counts are estimates: where the package
    puts a message together from a stream, it keeps the fields of `usage` that it knows."""
    told = message.model_dump(exclude={"id"})
    told["usage"].pop("estimated", None)
    return told


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


LOOP = {
    "think": THOUGHT, "say": "I look.", "call": CALLS[:1],
    "then": {"think": "Once more.", "call": CALLS[1:], "then": {"think": "Now.", "say": SAID}},
}


@pytest.mark.parametrize("thinks", [True, False])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_loop_goes_through_several_tool_turns(client, dialect, streamed, thinks):
    if dialect == "zai-web":
        pytest.skip("it has no tools")
    text = prompt(**LOOP)
    thinking = THINKS if thinks else {"thinking": {"type": "disabled"}}
    request = ask(text, tools=[TIDE_AT], system="Be brief.", **thinking)
    heard = []
    for _ in range(5):
        if streamed:
            with client.messages.stream(**request) as stream:
                message = stream.get_final_message()
        else:
            message = client.messages.create(**request)
        heard.append(message)
        if message.stop_reason != "tool_use":
            break
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": [{"type": "text", "text": "high"}]}
            for block in message.content
            if block.type == "tool_use"
        ]
        request["messages"] += [
            {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in message.content]},
            {"role": "user", "content": results},
        ]
    assert [message.stop_reason for message in heard] == ["tool_use", "tool_use", "end_turn"]
    thoughts = [THOUGHT, "Once more.", "Now."] if thinks else ["", "", ""]
    assert [told(message) for message in heard] == list(zip(thoughts, ["I look.", "", SAID]))
    *_, last = asked(text)
    roles = [message["role"] for message in last["body"]["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "tool"]
    if thinks:
        assert last["body"]["messages"][4]["reasoning_content"] == "Once more."


def test_the_runner_of_tools_has_the_whole_conversation(client, dialect):
    if dialect == "zai-web":
        pytest.skip("it has no tools")

    @anthropic.beta_tool
    def tide_at(port: str, hour: int = 0) -> str:
        """The tide at a port."""
        return "high"

    text = prompt(**LOOP)
    runner = client.beta.messages.tool_runner(**ask(text, tools=[tide_at]))
    assert [message.stop_reason for message in runner] == ["tool_use", "tool_use", "end_turn"]
    *_, last = asked(text)
    roles = [message["role"] for message in last["body"]["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "tool"]


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
    assert message.usage.model_extra == {"estimated": True}


def test_models_are_listed(client):
    names = [model.id for model in client.models.list()]
    assert "GLM-4.6" in names and client.models.retrieve("GLM-4.6").type == "model"


def test_tokens_are_counted_roughly(client):
    counted = client.messages.count_tokens(model="GLM-4.5", messages=[{"role": "user", "content": "12345678"}])
    assert counted.input_tokens == 6


def test_a_document_of_text_is_read(client):
    text = prompt(say="Noon.")
    document = {"type": "document", "title": "Tides", "source": {"type": "text", "media_type": "text/plain", "data": "High at noon."}}
    content = [document, {"type": "text", "text": text}]
    assert told(client.messages.create(**ask(content)))[1] == "Noon."
    (heard,) = asked(text)
    assert "High at noon." in str(heard["body"]["messages"])


def test_what_is_left_out_is_named(client):
    answer = client.messages.with_raw_response.create(**ask(prompt(say="x"), extra_body={"top_k": 3}))
    assert answer.headers["x-z2api-ignored"] == "top_k"


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
    assert caught.value.body["request_id"] == caught.value.request_id


def test_a_wrong_key_is_an_authentication_error(root):
    with pytest.raises(anthropic.AuthenticationError, match="x-api-key"):
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


def test_pings_come_before_a_late_answer(client):
    with client.messages.with_streaming_response.create(**ask(prompt(say=SAID, after_ms=2600)), stream=True) as raw:
        before, _, _ = "\n".join(raw.iter_lines()).partition("content_block_delta")
    assert "event: ping" in before


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
