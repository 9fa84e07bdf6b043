"""One task for each command-line agent: the upstream has it write a file with its own tool, and then
say so. Claude Code searches the web and reads the file after that, Codex asks a tool server before it;
both give back what was thought.
`python agents.py FOLDER [AGENT ...]`: FOLDER is where npm has put the agents."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

from stage import KEY, Stage

OUT = Path("target/clients/agents-runs").resolve()
CODEX = """model = "GLM-4.7-Thinking"
model_provider = "z2api"
web_search = "disabled"

[model_providers.z2api]
name = "z2api"
base_url = "{base}"
env_key = "Z2API_KEY"
wire_api = "responses"

[mcp_servers.tides]
command = "{python}"
args = ["{server}"]
"""


def wish(*calls):
    """A prompt by which the model calls one tool after the other, thinks before each, and then says so."""
    told = {"say": "The tide is written."}
    for at, (tool, arguments) in reversed(list(enumerate(calls))):
        call = {"id": f"call_{at}", "name": tool, "arguments": arguments}
        told = {"think": thought(tool), "call": [call], "then": told}
    return json.dumps(told)


def thought(tool):
    return f"I call {tool}."


def given_back(sim):
    """What was thought before each call, as the upstream was given it with the last request."""
    with urllib.request.urlopen(f"{sim}/sim/chats") as answer:
        *_, last = json.load(answer)
    return [turn.get("reasoning_content") for turn in last["body"]["messages"] if turn.get("tool_calls")]


def claude(folder, base, home):
    """Claude Code, by the Messages API and with the name of a model that is an alias."""
    variables = {
        "ANTHROPIC_BASE_URL": base.removesuffix("/v1"), "ANTHROPIC_AUTH_TOKEN": KEY,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1",
    }
    calls = {
        "Bash": {"command": "echo high > tide.txt", "description": "Writes the tide"},
        "WebSearch": {"query": "tide tables of Brest"},
        "Read": {"file_path": str(home.parent / "work" / "tide.txt")},
    }
    task = wish(*calls.items())
    program = next(folder.glob("node_modules/@anthropic-ai/claude-code-*/claude"))
    flags = ["--allowedTools", "Bash WebSearch Read", "--output-format", "json"]
    return [program, "-p", task, *flags], variables, [thought(tool) for tool in calls]


def codex(folder, base, home):
    """Codex, by the Responses API."""
    (home / ".codex").mkdir()
    config = CODEX.format(base=base, python=sys.executable, server=Path(__file__).with_name("tide_server.py"))
    (home / ".codex" / "config.toml").write_text(config)
    calls = {"mcp__tides__tide_at": {"port": "Brest"}, "exec_command": {"cmd": "echo high > tide.txt"}}
    task = wish(*calls.items())
    program = folder / "node_modules" / ".bin" / "codex"
    flags = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
    return [program, "exec", *flags, task], {"Z2API_KEY": KEY}, [thought(tool) for tool in calls]


def run(agent, folder):
    place = OUT / agent.__name__
    home, work = place / "home", place / "work"
    home.mkdir(parents=True)
    work.mkdir()
    with Stage(place, "reasoning") as stage:
        command, variables, thoughts = agent(folder, stage.scene["openai"], home)
        done = subprocess.run(
            command, cwd=work, env={"PATH": os.environ["PATH"], "HOME": str(home), **variables},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=180,
        )
        heard = given_back(stage.scene["sim"]) if thoughts else None
    written = work / "tide.txt"
    fine = (
        done.returncode == 0
        and heard == thoughts
        and written.exists() and written.read_text() == "high\n"
        and "The tide is written." in done.stdout
    )
    print(f"{agent.__doc__} {'Well.' if fine else 'FAILED:'}", flush=True)
    if not fine:
        print(done.stdout, heard, sep="\n")
    return fine


if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    found, wanted = Path(sys.argv[1]).resolve(), sys.argv[2:]
    agents = [agent for agent in (claude, codex) if not wanted or agent.__name__ in wanted]
    outcomes = [run(agent, found) for agent in agents]
    print(f"agents: {sum(outcomes)} passed, {len(outcomes) - sum(outcomes)} failed")
    sys.exit(0 if all(outcomes) else 1)
