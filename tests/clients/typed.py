"""Judges the answers of the Messages and the Responses API by the types of the vendors' own packages,
strictly, and with no field that these lack. `python typed.py FOLDER ...` judges the taps in there."""

import json
import re
import sys
from pathlib import Path
from typing import get_args

from anthropic.types import ErrorResponse, Message, MessageTokensCount, ModelInfo, RawMessageStreamEvent
from openai.types.responses import Response, ResponseError, ResponseStreamEvent
from pydantic import TypeAdapter
from tap import exchanges

WHOLE = {"/v1/messages": Message, "/v1/messages/count_tokens": MessageTokensCount, "/v1/responses": Response}


def by_type(union):
    """The members of a union by the word in their field `type`."""
    while not isinstance(members := get_args(union), tuple) or len(members) < 2 or not hasattr(members[0], "model_fields"):
        union = members[0]
    return {word: member for member in members for word in get_args(member.model_fields["type"].annotation)}


EVENT = {"/v1/messages": by_type(RawMessageStreamEvent), "/v1/responses": by_type(ResponseStreamEvent)}
# Fields that the vendors' answers have and their packages' types lack (Anthropic's reads `details` all the
# same); and one of our own, which the README names.
KNOWN = {"$.response.store", "$.store", "$.error.details", "$.usage.estimated"}
FIELDS = {("ResponseCustomToolCall", "status")}
# The package lists some codes of failures; its own clients know others, too.
CODES = get_args(ResponseError.model_fields["code"].annotation)
# Events that are no message's, which the package's types leave out.
OTHERS = {"ping", "error"}


def faults(kind, text):
    try:
        value = TypeAdapter(kind).validate_json(text, strict=True)
    except ValueError as error:
        yield str(error)
    else:
        yield from strangers(value, "$")


def strangers(value, path):
    """Fields that the types do not have."""
    if isinstance(value, list):
        for at, item in enumerate(value):
            yield from strangers(item, f"{path}[{at}]")
    elif hasattr(value, "model_extra"):
        names = [name for name in value.model_extra or {} if (type(value).__name__, name) not in FIELDS]
        extra = {f"{path}.{name}" for name in names} - KNOWN
        yield from (f"{place}: no such field" for place in extra)
        for name in type(value).model_fields:
            yield from strangers(getattr(value, name), f"{path}.{name}")


def anthropics_models(exchange):
    """Whether models are listed in Anthropic's shape."""
    return exchange.path.startswith("/v1/models") and b'"display_name"' in exchange.body


def in_listed_codes(data):
    """An event's JSON, with a code that the package lists."""
    event = json.loads(data)
    error = (event.get("response") or {}).get("error")
    if error and error["code"] not in CODES and re.fullmatch("[a-z_]+", error["code"]):
        error["code"] = "server_error"
    return json.dumps(event)


def judge(exchange):
    """What is wrong with an answer. One that the client cut off is right as far as it goes."""
    messages = exchange.path.startswith("/v1/messages")
    if exchange.status >= 400:
        # OpenAI's errors are judged by its description.
        yield from faults(ErrorResponse, exchange.body) if messages else ()
    elif anthropics_models(exchange):
        told = json.loads(exchange.body)
        for model in told.get("data", [told]):
            yield from faults(ModelInfo, json.dumps(model))
    elif not exchange.headers.get("content-type", "").startswith("text/event-stream"):
        yield from faults(WHOLE[exchange.path], exchange.body)
    else:
        body = exchange.body if exchange.whole else exchange.body.rpartition(b"\n\n")[0]
        kinds = []
        for block in filter(None, body.decode().split("\n\n")):
            if block.startswith(":"):
                continue
            name, data = re.fullmatch(r"event: (\S+)\ndata: (.*)", block).groups()
            kinds.append(json.loads(data)["type"])
            if name != kinds[-1]:
                yield f"the event {name} says it is {kinds[-1]}"
            if kinds[-1] not in OTHERS:
                yield from faults(EVENT[exchange.path][kinds[-1]], in_listed_codes(data))
        ends = {"message_stop", "error", "response.completed", "response.incomplete", "response.failed"}
        if any(kind in ends for kind in kinds[:-1]) or exchange.whole and kinds[-1] not in ends:
            yield f"an odd end: {kinds[-3:]}"


def main(folders):
    judged, bad = 0, 0
    for record in [path for folder in folders for path in sorted(Path(folder).rglob("*.tap"))]:
        for exchange in exchanges(record):
            asked = exchange.path in WHOLE and exchange.method == "POST" or anthropics_models(exchange)
            if not asked or not exchange.status:
                continue
            if not exchange.whole and not exchange.headers.get("content-type", "").startswith("text/event-stream"):
                continue
            judged += 1
            if found := list(judge(exchange)):
                bad += 1
                print(f"{record}: {exchange.path} {exchange.status}")
                print(f"  asked:  {json.dumps(exchange.asked, ensure_ascii=False)[:2000]}")
                print(f"  got:    {exchange.body.decode(errors='replace')[:2000]}")
                print("  faults: " + "\n          ".join(dict.fromkeys(found)))
    print(f"types of the packages: {judged - bad} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
