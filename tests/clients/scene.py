"""What the checks in Python share: prompts that tell the simulated upstream what to do, and what it
was asked. `crates/upstream-sim/src/prompted` describes the fields of a prompt."""

import json
import os
import time
import urllib.request
import uuid

SCENE = json.loads(os.environ["Z2API_STAGE"])
KEY, MODE = SCENE["key"], SCENE["mode"]
DIALECTS = ["zai-web", "openai"]

THOUGHT = "Ein Gedanke:\n  - erstens 山\n\nand a second one."
SAID = ' Grüße, 世界! 🙂 "quoted" \\ back\n\n\t- a <b>&amp;</b> line \n'
# An answer that makes one wait: heartbeats come before it.
SLOW = {"say": SAID, "after_ms": 1500}
# An answer that falls silent, and all that a client gets to hear of it.
STALLED, HEARD = {"say": SAID, "stall_after": 4}, SAID[:16]
PAGE = {"title": "Tide tables", "link": "https://example.org/tides"}
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYA"
    "AjCB0C8AAAAASUVORK5CYII="
)
TOOL = {
    "type": "function",
    "function": {
        "name": "tide_at",
        "description": "The tide at a port.",
        "parameters": {
            "type": "object",
            "properties": {"port": {"type": "string"}, "hour": {"type": "integer"}},
            "required": ["port"],
        },
    },
}
CALLS = [
    {"id": "call_1", "name": "tide_at", "arguments": {"port": "Gdańsk", "hour": 3}},
    {"id": "call_2", "name": "tide_at", "arguments": {"port": "Brest \"W\""}},
]


def prompt(**wish):
    """A prompt that has the simulated upstream do what it says."""
    return json.dumps({**wish, "mark": uuid.uuid4().hex}, ensure_ascii=False)


def asked(prompt):
    """What the simulated upstream was asked with this prompt: bodies and outcomes, oldest first."""
    mark = json.loads(prompt)["mark"]
    with urllib.request.urlopen(f"{SCENE['sim']}/sim/chats") as answer:
        chats = json.load(answer)
    return [chat for chat in chats if mark in json.dumps(chat["body"])]


def until_closed(prompt):
    """Waits until the upstream has seen the end of the connection that this prompt came on."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        outcomes = [chat["outcome"] for chat in asked(prompt)]
        if outcomes and "running" not in outcomes:
            assert outcomes == ["peer_closed"], outcomes
            return
        time.sleep(0.02)
    raise AssertionError(f"the upstream's answer still runs: {outcomes}")


def shown(mode=MODE):
    """`content` and `reasoning_content` of THOUGHT and SAID in a thinking mode."""
    return {
        "think": (f"<think>\n{THOUGHT}\n</think>\n\n{SAID}", ""),
        "strip": (SAID, ""),
        "reasoning": (SAID, THOUGHT),
    }[mode]
