"""LiteLLM, as a library: `litellm.completion` with an `openai/` model and the gateway's base URL."""

import asyncio
import json

import litellm
import openai
import pytest
from scene import (
    CALLS, HEARD, KEY, MODE, PIXEL, SAID, SLOW, STALLED, THOUGHT, TOOL, asked, prompt, shown, until_closed,
)

litellm.num_retries = 0
litellm.suppress_debug_info = True


@pytest.fixture
def complete(base_url):
    def complete(text, model="GLM-4.5", **fields):
        messages = text if isinstance(text, list) else [{"role": "user", "content": text}]
        return litellm.completion(
            f"openai/{model}", messages, api_base=base_url, api_key=KEY, max_retries=0, timeout=60, **fields
        )

    return complete


def told(answer):
    message = answer.choices[0].message
    return message.content, getattr(message, "reasoning_content", None) or ""


def test_an_answer_is_the_same_streamed_and_whole(complete):
    text = prompt(think=THOUGHT, say=SAID, usage={"prompt": 21, "completion": 34})
    whole = complete(text, "GLM-4.5-Thinking")
    assert told(whole) == shown(MODE)
    assert (whole.usage.prompt_tokens, whole.usage.total_tokens) == (21, 55)
    stream = complete(text, "GLM-4.5-Thinking", stream=True, stream_options={"include_usage": True})
    built = litellm.stream_chunk_builder(list(stream))
    assert told(built) == shown(MODE)
    assert (built.usage.total_tokens, built.choices[0].finish_reason) == (55, "stop")


@pytest.mark.parametrize("mode", ["think", "strip", "reasoning"])
def test_each_thinking_mode_shows_what_it_should(complete, mode):
    def answer(**fields):
        headers = {"x-z2api-think-mode": mode}
        return complete(prompt(think=THOUGHT, say=SAID), "GLM-4.5-Thinking", extra_headers=headers, **fields)

    assert told(litellm.stream_chunk_builder(list(answer(stream=True)))) == shown(mode)
    if mode == "think":  # LiteLLM itself takes the tags out of a whole answer.
        assert told(answer()) == (f"\n\n{SAID}", f"\n{THOUGHT}\n")
    else:
        assert told(answer()) == shown(mode)


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_called_and_their_results_are_taken(complete, dialect, streamed):
    text = prompt(call=CALLS, then={"say": SAID})
    if dialect == "zai-web":
        with pytest.raises(litellm.BadRequestError, match="tools"):
            complete(text, tools=[TOOL])
        return

    def turn(messages):
        answer = complete(messages, tools=[TOOL], stream=streamed)
        return (litellm.stream_chunk_builder(list(answer)) if streamed else answer).choices[0]

    messages = [{"role": "user", "content": text}]
    first = turn(messages)
    calls = first.message.tool_calls
    assert first.finish_reason == "tool_calls"
    assert [(call.id, json.loads(call.function.arguments)) for call in calls] == [
        (call["id"], call["arguments"]) for call in CALLS
    ]
    results = [{"role": "tool", "tool_call_id": call.id, "content": "high"} for call in calls]
    assert turn([*messages, first.message.model_dump(), *results]).message.content == SAID
    assert asked(text)[1]["body"]["messages"][2:] == results


def test_an_image_reaches_a_model_that_sees(complete, dialect):
    text = prompt(say="A dot.")
    parts = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    assert complete(parts_of(parts), "GLM-4.5V").choices[0].message.content == "A dot."
    if dialect == "openai":
        assert PIXEL in json.dumps(asked(text)[0]["body"])


def parts_of(parts):
    return [{"role": "user", "content": parts}]


def test_errors_are_litellms_own(complete, base_url):
    with pytest.raises(litellm.NotFoundError):
        complete("Why?", "gpt-4o")
    with pytest.raises(litellm.BadRequestError):
        complete("Why?", n=2)
    with pytest.raises(litellm.AuthenticationError):
        litellm.completion("openai/GLM-4.5", parts_of("Why?"), api_base=base_url, api_key="wrong", max_retries=0)


@pytest.mark.parametrize("wish", [{"fail_after": 3}, {"cut_after": 3}])
def test_an_answer_that_breaks_off_raises(complete, wish):
    heard = []
    with pytest.raises(openai.APIError):
        for chunk in complete(prompt(say=SAID, **wish), stream=True):
            heard.append(chunk.choices[0])
    assert heard and all(choice.finish_reason is None for choice in heard)
    with pytest.raises(openai.APIError):
        complete(prompt(say=SAID, **wish))


def test_heartbeats_are_passed_over(complete):
    assert told(litellm.stream_chunk_builder(list(complete(prompt(**SLOW), stream=True)))) == (SAID, "")


def test_a_cancelled_task_ends_the_upstreams_answer(base_url):
    text = prompt(**STALLED)

    async def read(heard):
        stream = await litellm.acompletion(
            "openai/GLM-4.5", parts_of(text), api_base=base_url, api_key=KEY, stream=True, timeout=60
        )
        content = ""
        async for chunk in stream:
            content += chunk.choices[0].delta.content or ""
            if content == HEARD:
                heard.set()

    async def leave():
        heard = asyncio.Event()
        reading = asyncio.create_task(read(heard))
        await heard.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await asyncio.to_thread(until_closed, text)

    asyncio.run(leave())


def test_a_busy_upstream_is_a_rate_limit_that_says_how_long(complete):
    text = prompt(refuse={"status": 429, "code": "1302", "message": "Busy.", "retry_after": 1})
    with pytest.raises(litellm.RateLimitError) as caught:
        complete(text)
    assert int(caught.value.response.headers["retry-after"]) >= 1
