"""The judge itself: it must find what is wrong."""

import json

import pytest
from schema import Schema, judge_stream

SCHEMA = Schema()
MESSAGE = {"role": "assistant", "content": "a", "refusal": None, "reasoning_content": "r"}
WHOLE = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": MESSAGE, "logprobs": None, "finish_reason": "stop"}],
}
CHUNK = {
    "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
    "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}],
}
LAST = {**CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
ERROR = {"error": {"message": "m", "type": "t", "param": None, "code": "c"}}


def faults(value, kind="CreateChatCompletionResponse"):
    return list(SCHEMA.faults(kind, json.dumps(value)))


def of_stream(*datas, ended=True, counted=None):
    texts = [data if isinstance(data, str) else json.dumps(data, separators=(",", ":")) for data in datas]
    return list(judge_stream(SCHEMA, texts, ended, "CreateChatCompletionStreamResponse", counted))


def test_what_is_right_passes():
    assert faults(WHOLE) == []
    assert faults(ERROR, "ErrorResponse") == []
    assert of_stream(CHUNK, LAST, "[DONE]") == []
    assert of_stream(CHUNK, ERROR) == []
    assert of_stream(CHUNK, ended=False) == []


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1},
        {"created": "1"},
        {"object": "chat"},
        {"usage": {"prompt_tokens": 1, "completion_tokens": 1}},
        {"choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]},
        {"choices": [{**WHOLE["choices"][0], "finish_reason": "eos"}]},
        {"choices": [{**WHOLE["choices"][0], "message": {**MESSAGE, "thinking": "x"}}]},
        {"choices": [{**WHOLE["choices"][0], "message": {**MESSAGE, "tool_calls": [{"id": "c"}]}}]},
    ],
)
def test_what_openai_would_not_send_is_found(change):
    assert faults({**WHOLE, **change})


def test_usage_comes_only_to_who_asked():
    used = {**CHUNK, "usage": None}
    assert of_stream(used, {**LAST, "usage": None}, "[DONE]", counted=True) == []
    assert of_stream(used, counted=False) and of_stream(CHUNK, counted=True)


def test_an_error_without_a_code_is_found():
    assert faults({"error": {"message": "m", "type": "t", "param": None}}, "ErrorResponse")


@pytest.mark.parametrize(
    "stream",
    [
        (CHUNK, "[DONE]"),
        (CHUNK, LAST),
        (CHUNK, LAST, "[DONE]", CHUNK),
        (CHUNK, LAST, ERROR),
        (CHUNK, {**LAST, "id": "chatcmpl-2"}, "[DONE]"),
        (CHUNK, {**LAST, "model": None}, "[DONE]"),
    ],
)
def test_a_stream_that_is_not_whole_is_found(stream):
    assert of_stream(*stream)
