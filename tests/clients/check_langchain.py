"""LangChain's ChatOpenAI. It takes no `reasoning_content`, so its own mode is one that needs none."""

import asyncio

import openai
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
from scene import (
    CALLS, HEARD, KEY, MODE, PIXEL, SAID, SLOW, STALLED, THOUGHT, asked, prompt, shown, until_closed,
)


@tool
def tide_at(port: str, hour: int = 0) -> str:
    """The tide at a port."""
    return f"{port} at {hour}: high"


@pytest.fixture
def model(base_url):
    def model(name="GLM-4.5", **fields):
        fields = {"api_key": KEY, "max_retries": 0, "timeout": 60, "stream_usage": True, **fields}
        return ChatOpenAI(model=name, base_url=base_url, **fields)

    return model


def put_together(chunks):
    whole, *rest = chunks
    for chunk in rest:
        whole += chunk
    return whole


def test_an_answer_is_the_same_streamed_and_whole(model):
    text = prompt(think=THOUGHT, say=SAID, usage={"prompt": 21, "completion": 34})
    content, _ = shown(MODE)
    whole = model("GLM-4.5-Thinking").invoke(text)
    streamed = put_together(model("GLM-4.5-Thinking").stream(text))
    for answer in (whole, streamed):
        assert answer.content == content
        assert answer.usage_metadata["total_tokens"] == 55
        assert answer.response_metadata["finish_reason"] == "stop"


@pytest.mark.parametrize("mode", ["strip", "reasoning"])
def test_in_the_other_modes_the_answer_comes_without_the_thinking(model, mode):
    thinking = model("GLM-4.5-Thinking", extra_body={"reasoning_format": mode})
    text = prompt(think=THOUGHT, say=SAID)
    for answer in (thinking.invoke(text), put_together(thinking.stream(text))):
        assert answer.content == SAID and "reasoning_content" not in answer.additional_kwargs


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_called_and_their_results_are_taken(model, dialect, streamed):
    text = prompt(call=CALLS, then={"say": SAID})
    bound = model().bind_tools([tide_at])
    if dialect == "zai-web":
        with pytest.raises(openai.BadRequestError, match="tools"):
            bound.invoke(text)
        return

    def turn(messages):
        return put_together(bound.stream(messages)) if streamed else bound.invoke(messages)

    question = HumanMessage(text)
    first = turn([question])
    assert [(call["id"], call["name"], call["args"]) for call in first.tool_calls] == [
        (call["id"], call["name"], call["arguments"]) for call in CALLS
    ]
    results = [tide_at.invoke(call) for call in first.tool_calls]
    assert all(isinstance(result, ToolMessage) for result in results)
    assert turn([question, first, *results]).content == SAID
    heard = asked(text)[1]["body"]["messages"][2:]
    assert [message["content"] for message in heard] == ["Gdańsk at 3: high", 'Brest "W" at 0: high']


def test_an_image_reaches_a_model_that_sees(model, dialect):
    text = prompt(say="A dot.")
    image = {"type": "image", "source_type": "base64", "mime_type": "image/png", "data": PIXEL.split(",")[1]}
    message = HumanMessage([{"type": "text", "text": text}, image])
    assert model("GLM-4.5V").invoke([message]).content == "A dot."
    if dialect == "openai":
        part = asked(text)[0]["body"]["messages"][0]["content"][1]
        assert part["image_url"]["url"] == PIXEL


def test_errors_are_those_of_openais_package(model):
    with pytest.raises(openai.NotFoundError):
        model("gpt-4o").invoke("Why?")
    with pytest.raises(openai.BadRequestError):
        model(n=2).invoke("Why?")
    with pytest.raises(openai.AuthenticationError):
        model(api_key="wrong").invoke("Why?")


@pytest.mark.parametrize("wish", [{"fail_after": 3}, {"cut_after": 3}])
def test_an_answer_that_breaks_off_raises(model, wish):
    heard = []
    with pytest.raises(openai.APIError):
        heard.extend(model().stream(prompt(say=SAID, **wish)))
    with pytest.raises(openai.APIError):
        model().invoke(prompt(say=SAID, **wish))


def test_heartbeats_are_passed_over(model):
    assert put_together(model().stream(prompt(**SLOW))).content == SAID


def test_a_json_answer_is_read(model, dialect):
    class Tide(BaseModel):
        height: str

    reader = model().with_structured_output(Tide, method="json_mode")
    text = prompt(say='{"height": "high"}')
    if dialect == "zai-web":
        with pytest.raises(openai.BadRequestError, match="response_format"):
            reader.invoke(text)
    else:
        assert reader.invoke(text) == Tide(height="high")


def test_a_cancelled_task_ends_the_upstreams_answer(model):
    text = prompt(**STALLED)

    async def read(heard):
        content = ""
        async for chunk in model().astream(text):
            content += chunk.content
            # Not earlier: Python 3.11's wait_for loses a cancellation that meets the next chunk.
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


def test_a_busy_upstream_is_a_rate_limit_that_says_how_long(model):
    text = prompt(refuse={"status": 429, "code": "1302", "message": "Busy.", "retry_after": 1})
    with pytest.raises(openai.RateLimitError) as caught:
        model().invoke(text)
    assert int(caught.value.response.headers["retry-after"]) >= 1
