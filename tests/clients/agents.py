"""One task for each command-line agent: the upstream has it write a file with its own tool, and then
say so. `python agents.py FOLDER`: FOLDER is where npm has put the agents."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from stage import KEY, Stage

OUT = Path("target/clients/agents-runs").resolve()
CODEX = """model = "GLM-4.7"
model_provider = "z2api"
web_search = "disabled"

[model_providers.z2api]
name = "z2api"
base_url = "{base}"
env_key = "Z2API_KEY"
wire_api = "responses"
"""


def wish(tool, **arguments):
    call = {"id": "call_1", "name": tool, "arguments": arguments}
    return json.dumps({"call": [call], "then": {"say": "The tide is written."}})


def claude(folder, base, home):
    """Claude Code, by the Messages API and with the name of a model that is an alias."""
    variables = {
        "ANTHROPIC_BASE_URL": base.removesuffix("/v1"), "ANTHROPIC_AUTH_TOKEN": KEY,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1",
    }
    task = wish("Bash", command="echo high > tide.txt", description="Writes the tide")
    program = next(folder.glob("node_modules/@anthropic-ai/claude-code-*/claude"))
    return [program, "-p", task, "--allowedTools", "Bash", "--output-format", "json"], variables


def codex(folder, base, home):
    """Codex, by the Responses API."""
    (home / ".codex").mkdir()
    (home / ".codex" / "config.toml").write_text(CODEX.format(base=base))
    task = wish("exec_command", cmd="echo high > tide.txt")
    program = folder / "node_modules" / ".bin" / "codex"
    flags = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
    return [program, "exec", *flags, task], {"Z2API_KEY": KEY}


def run(agent, folder):
    place = OUT / agent.__name__
    home, work = place / "home", place / "work"
    home.mkdir(parents=True)
    work.mkdir()
    with Stage(place, "reasoning") as stage:
        command, variables = agent(folder, stage.scene["openai"], home)
        done = subprocess.run(
            command, cwd=work, env={"PATH": os.environ["PATH"], "HOME": str(home), **variables},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=180,
        )
    written = work / "tide.txt"
    fine = (
        done.returncode == 0
        and written.exists() and written.read_text() == "high\n"
        and "The tide is written." in done.stdout
    )
    print(f"{agent.__doc__} {'Well.' if fine else 'FAILED:'}", flush=True)
    if not fine:
        print(done.stdout)
    return fine


if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    found = Path(sys.argv[1]).resolve()
    outcomes = [run(agent, found) for agent in (claude, codex)]
    print(f"agents: {sum(outcomes)} passed, {len(outcomes) - sum(outcomes)} failed")
    sys.exit(0 if all(outcomes) else 1)
