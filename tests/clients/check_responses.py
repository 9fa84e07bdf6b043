"""OpenAI's Python package against the Responses API."""

import json

import openai
import pytest
from openai import OpenAI
from scene import CALLS, KEY, PAGE, PIXEL, SAID, SLOW, STALLED, THOUGHT, TOOL, asked, prompt, until_closed

TIDE_AT = {"type": "function", "strict": False, **TOOL["function"]}
# Tools of all forms that clients have: as the API has them, and by what names the upstream is asked.
TOOLS = [
    TIDE_AT,
    {"type": "namespace", "name": "mcp__tides", "description": "Tides.", "tools": [TIDE_AT]},
    {"type": "custom", "name": "note", "description": "Takes a note.", "format": {"type": "text"}},
]
TURNS = [
    {"id": "call_0", "name": "mcp__tides__tide_at", "arguments": {"port": "Gdańsk"}},
    {"id": "call_1", "name": "note", "arguments": {"input": SAID}},
    {"id": "call_2", "name": "tide_at", "arguments": {"port": "Brest \"W\""}},
]
THINKS = "GLM-4.5-Thinking"


@pytest.fixture
def client(base_url):
    with OpenAI(base_url=base_url, api_key=KEY, max_retries=0, timeout=60) as client:
        yield client


def ask(text, model="GLM-4.5", **fields):
    return {"model": model, "input": text, **fields}


def streamed(client, request):
    with client.responses.stream(**request) as stream:
        return stream.get_final_response()


def without_names(response):
    response = json.loads(response.model_dump_json(exclude={"id", "created_at"}, warnings=False))
    for item in response["output"]:
        item.pop("id", None)
        item.pop("parsed_arguments", None)
        for part in item.get("content") or []:
            part.pop("parsed", None)
    return response


def both_ways(client, request):
    """The response, asked for whole and as a stream."""
    whole = client.responses.create(**request)
    assert without_names(streamed(client, request)) == without_names(whole)
    return whole


def thinking(response):
    items = [item for item in response.output if item.type == "reasoning"]
    return "".join(part.text for item in items for part in [*item.summary, *(item.content or [])])


@pytest.mark.parametrize("summary", [None, "auto"])
def test_an_answer_is_the_same_streamed_and_whole(client, summary):
    text = prompt(think=THOUGHT, say=SAID, usage={"prompt": 21, "completion": 34})
    fields = {"reasoning": {"summary": summary}} if summary else {}
    response = both_ways(client, ask(text, THINKS, **fields))
    assert (thinking(response), response.output_text) == (THOUGHT, SAID)
    assert (response.status, response.model) == ("completed", THINKS)
    assert (response.usage.input_tokens, response.usage.output_tokens) == (21, 34)


def test_an_answer_that_runs_into_its_limit_is_incomplete(client, dialect):
    if dialect == "zai-web":
        pytest.skip("the web chat names no finish reason")
    request = ask(prompt(say="x", finish="length"))
    *_, last = client.responses.create(**request, stream=True)
    response = client.responses.create(**request)
    assert last.type == "response.incomplete"
    assert without_names(last.response) == without_names(response)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")


def test_a_conversation_goes_on_from_what_is_kept(client):
    first_prompt, second_prompt = prompt(say="One."), prompt(say="Two.")
    first = client.responses.create(**ask(first_prompt, instructions="Be brief."))
    second = client.responses.create(**ask(second_prompt, previous_response_id=first.id))
    assert second.output_text == "Two." and second.previous_response_id == first.id
    (heard,) = asked(second_prompt)
    contents = [message["content"] for message in heard["body"]["messages"]]
    assert contents == [first_prompt, "One.", second_prompt]
    assert client.responses.retrieve(first.id).output_text == "One."
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)
    kept = client.responses.create(**ask(prompt(say="x"), store=False))
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(kept.id)


@pytest.mark.parametrize("kept", [False, True])
def test_tools_are_called_in_several_turns(client, dialect, kept):
    text = prompt(think=THOUGHT, call=CALLS, then={"say": SAID})
    request = ask(text, THINKS, tools=[TIDE_AT], store=kept)
    if dialect == "zai-web":
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(**request)
        assert caught.value.param == "tools"
        return
    first = streamed(client, request)
    calls = [item for item in first.output if item.type == "function_call"]
    assert [(call.call_id, call.name, json.loads(call.arguments)) for call in calls] == [
        (call["id"], call["name"], call["arguments"]) for call in CALLS
    ]
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "high"} for call in calls]
    if kept:
        request.update(input=results, previous_response_id=first.id)
    else:
        turn = [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in first.output]
        request.update(input=[{"role": "user", "content": text}, *turn, *results])
    second = streamed(client, request)
    assert second.output_text == SAID
    _, heard = asked(text)
    _, assistant, *answers = heard["body"]["messages"]
    assert assistant["reasoning_content"] == THOUGHT
    assert [call["id"] for call in assistant["tool_calls"]] == ["call_1", "call_2"]
    assert [answer["tool_call_id"] for answer in answers] == ["call_1", "call_2"]


def in_turns(turns, last):
    """A prompt by which the model thinks and calls, one turn after the other."""
    wish = last
    for at, call in reversed(list(enumerate(turns))):
        wish = {"think": f"{THOUGHT} {at}", "call": [call], "then": wish}
    return prompt(**wish)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("model", [THINKS, "GLM-4.5"])
def test_a_loop_of_several_calls_comes_to_its_end(client, dialect, model, kept, stream):
    """As an agent does it that carries the conversation itself, or leaves it here."""
    if dialect == "zai-web":
        pytest.skip("the web chat has no tools")
    text = in_turns(TURNS, {"say": SAID})
    request = ask([{"role": "user", "content": text}], model, tools=TOOLS, store=kept)
    told = []
    for _ in range(len(TURNS) + 1):
        response = streamed(client, request) if stream else client.responses.create(**request)
        calls = [item for item in response.output if item.type.endswith("_call")]
        if not calls:
            break
        (call,) = calls
        custom = call.type == "custom_tool_call"
        told.append((call.namespace, call.name, call.input if custom else json.loads(call.arguments)))
        kind = "custom_tool_call_output" if custom else "function_call_output"
        outcome = {"type": kind, "call_id": call.call_id, "output": "high"}
        if kept:
            request.update(input=[outcome], previous_response_id=response.id)
        else:
            carried = [as_carried(item) for item in response.output]
            request["input"] = [*request["input"], *carried, outcome]
    assert response.output_text == SAID
    assert told == [
        ("mcp__tides", "tide_at", {"port": "Gdańsk"}), (None, "note", SAID), (None, "tide_at", {"port": 'Brest "W"'}),
    ]
    *_, heard = asked(text)
    assert len(asked(text)) == len(TURNS) + 1
    turns = [message for message in heard["body"]["messages"] if message["role"] == "assistant"]
    assert [turn["tool_calls"][0]["function"]["name"] for turn in turns] == [call["name"] for call in TURNS]
    thoughts = [f"{THOUGHT} {at}" if model == THINKS else None for at in range(len(TURNS))]
    assert [turn.get("reasoning_content") for turn in turns] == thoughts


def as_carried(item):
    """An item as agents give it back: of thinking, what the server alone is to read."""
    item = item.model_dump(exclude_none=True, exclude={"parsed_arguments"})
    return {**item, "summary": [], "content": None} if item["type"] == "reasoning" else item


def test_a_schema_is_for_servers_that_follow_one(client):
    """Neither of these does."""
    schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    form = {"type": "json_schema", "name": "answer", "schema": schema, "strict": True}
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(**ask("Why?"), text={"format": form})
    assert caught.value.param == "text.format"


def test_what_is_left_out_is_named(client):
    request = ask(prompt(say="x"), truncation="auto", prompt_cache_key="k")
    answer = client.responses.with_raw_response.create(**request)
    assert answer.headers["x-z2api-ignored"] == "prompt_cache_key, truncation"
    assert answer.parse().truncation == "disabled"


def test_an_image_reaches_a_model_that_sees(client, dialect):
    text = prompt(say="A dot.")
    parts = [{"type": "input_text", "text": text}, {"type": "input_image", "image_url": PIXEL, "detail": "low"}]
    answer = client.responses.create(**ask([{"role": "user", "content": parts}], "GLM-4.5V"))
    assert answer.output_text == "A dot."
    if dialect == "openai":
        (heard,) = asked(text)
        assert heard["body"]["messages"][0]["content"][1]["image_url"]["url"] == PIXEL


def test_a_citation_is_an_annotation(client, dialect):
    if dialect == "openai":
        pytest.skip("models of the official API search by a tool of its own")
    text = prompt(found=[PAGE], say="High water at noon{{0}}.")
    response = both_ways(client, ask(text, "GLM-4.5-Search"))
    (part,) = response.output[-1].content
    (cited,) = part.annotations
    assert (cited.url, cited.title) == (PAGE["link"], PAGE["title"])
    assert part.text[cited.start_index : cited.end_index] == f"[0]({PAGE['link']})"


def test_an_error_has_its_class(client, base_url):
    with pytest.raises(openai.NotFoundError) as caught:
        client.responses.create(**ask("Why?", "gpt-4o"))
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(**ask("Why?", background=True))
    assert caught.value.param == "background"
    with pytest.raises(openai.AuthenticationError):
        OpenAI(base_url=base_url, api_key="wrong", max_retries=0).responses.create(**ask("Why?"))


@pytest.mark.parametrize("wish, code", [({"fail_after": 3}, "upstream_error"), ({"cut_after": 3}, "upstream_disconnected")])
def test_an_answer_that_breaks_off_has_failed(client, wish, code):
    text = prompt(say=SAID, **wish)
    events = list(client.responses.create(**ask(text), stream=True))
    heard = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert heard and SAID.startswith(heard)
    assert events[-1].type == "response.failed" and events[-1].response.error.code == code
    with pytest.raises(openai.InternalServerError):
        client.responses.create(**ask(text))


def test_heartbeats_are_passed_over(client):
    assert streamed(client, ask(prompt(**SLOW))).output_text == SAID


def test_a_reader_that_leaves_ends_the_upstreams_answer(client):
    text = prompt(**STALLED)
    stream = client.responses.create(**ask(text), stream=True)
    next(event for event in stream if event.type == "response.output_text.delta")
    stream.close()
    until_closed(text)
