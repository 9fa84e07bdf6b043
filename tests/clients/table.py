"""The README's table of clients: which were run, in which version, with which thinking mode.

It is held against the pinned versions, and it gives the mode that each client is run with, so that
it says what is so. `python table.py` only checks."""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
README = HERE.parent.parent / "README.md"
MODES = {"think", "strip", "reasoning", "raw"}


@dataclass
class Client:
    """A line of the table, and the check that runs it."""

    label: str
    packages: list
    check: str
    mode: str = ""


# The slowest first: two run at a time.
CLIENTS = [
    Client("llm", ["llm"], "check_llm.py"),
    Client("OpenAI for Python", ["openai"], "check_openai.py"),
    Client("OpenAI for Node", ["openai"], "check_openai.mjs"),
    Client("Anthropic for Python", ["anthropic"], "check_anthropic.py"),
    Client("Anthropic for Node", ["@anthropic-ai/sdk"], "check_anthropic.mjs"),
    Client("OpenAI Responses, Python", ["openai"], "check_responses.py"),
    Client("OpenAI Responses, Node", ["openai"], "check_responses.mjs"),
    Client("LiteLLM", ["litellm"], "check_litellm.py"),
    Client("LangChain", ["langchain-openai"], "check_langchain.py"),
    Client("Vercel AI SDK", ["ai", "@ai-sdk/openai-compatible"], "check_ai_sdk.mjs"),
    Client("Vercel AI SDK, Anthropic", ["ai", "@ai-sdk/anthropic"], "check_ai_sdk_anthropic.mjs"),
    Client("Vercel AI SDK, Responses", ["ai", "@ai-sdk/open-responses"], "check_ai_sdk_responses.mjs"),
]


def pinned(check):
    """The pinned versions of the language that a check is written in."""
    if check.endswith(".mjs"):
        return json.loads((HERE / "package.json").read_text())["dependencies"]
    return dict(re.findall(r"^([^#=\s]+)==(\S+)$", (HERE / "requirements.txt").read_text(), re.MULTILINE))


def clients():
    """All clients, each with its mode.

    Raises ValueError if the README has no line for one, or a line that does not hold."""
    rows = [line.strip("| ").split(" | ") for line in README.read_text().splitlines() if line.startswith("| ")]
    lines = {row[0]: row for row in rows if len(row) == 4}
    for client in CLIENTS:
        versions = pinned(client.check)
        meant = ", ".join(f"`{package}` {versions[package]}" for package in client.packages)
        row = lines.get(client.label)
        if row is None or row[1] != meant:
            raise ValueError(f"the README's table of clients needs: | {client.label} | {meant} | … | … |")
        modes = re.findall(r"`(\w+)`", row[3])
        if not modes or modes[0] not in MODES:
            raise ValueError(f"the README's line of {client.label} must begin its last column with a mode")
        client.mode = modes[0]
    return CLIENTS


if __name__ == "__main__":
    try:
        clients()
    except ValueError as error:
        sys.exit(str(error))
