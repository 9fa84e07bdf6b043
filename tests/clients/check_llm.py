"""The `llm` command line, told of the gateway in extra-openai-models.yaml."""

import base64
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from scene import CALLS, KEY, MODE, PIXEL, SAID, SLOW, STALLED, THOUGHT, asked, prompt, shown, until_closed

LLM = Path(sys.executable).parent / "llm"
MODELS = """
- model_id: glm
  model_name: GLM-4.5
  api_base: {base_url}
  api_key_name: z2api
  supports_tools: true
- model_id: glm-thinking
  model_name: GLM-4.5-Thinking
  api_base: {base_url}
  api_key_name: z2api
- model_id: glm-strip
  model_name: GLM-4.5-Thinking
  api_base: {base_url}
  api_key_name: z2api
  headers: {{x-z2api-think-mode: strip}}
- model_id: glm-vision
  model_name: GLM-4.5V
  api_base: {base_url}
  api_key_name: z2api
  vision: true
- model_id: nobody
  model_name: gpt-4o
  api_base: {base_url}
  api_key_name: z2api
"""


@pytest.fixture
def start(base_url, tmp_path):
    (tmp_path / "extra-openai-models.yaml").write_text(MODELS.format(base_url=base_url))
    (tmp_path / "keys.json").write_text(json.dumps({"z2api": KEY}))
    environment = {**os.environ, "LLM_USER_PATH": str(tmp_path)}
    children = []

    def start(*arguments, **options):
        child = subprocess.Popen(
            [LLM, *arguments], env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            # A shell's background jobs ignore it, and their children would too.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **options,
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


@pytest.fixture
def llm(start):
    def llm(*arguments):
        child = start(*arguments)
        out, err = child.communicate(timeout=120)
        return child.returncode, out, err

    return llm


@pytest.mark.parametrize("how", [[], ["--no-stream"]])
def test_the_answer_is_printed(llm, how):
    code, out, err = llm("-m", "glm-thinking", "--usage", *how, prompt(think=THOUGHT, say=SAID))
    content, _ = shown(MODE)
    assert (code, out) == (0, f"{content}\n"), err
    assert "11 input, 7 output" in err


def test_in_strip_mode_a_pipe_gets_the_answer_alone(llm):
    assert llm("-m", "glm-strip", prompt(think=THOUGHT, say=SAID))[1] == f"{SAID}\n"


def test_a_tool_is_called_and_its_result_is_taken(llm, dialect):
    text = prompt(call=CALLS[:1], then={"say": SAID})
    function = "def tide_at(port: str, hour: int = 0) -> str:\n    return f'{port} at {hour}: high'\n"
    code, out, err = llm("-m", "glm", "--functions", function, text)
    if dialect == "zai-web":
        assert code == 1 and "`tools`" in err
        return
    assert (code, out) == (0, f"{SAID}\n"), err
    assert asked(text)[1]["body"]["messages"][2]["content"] == "Gdańsk at 3: high"


def test_an_image_reaches_a_model_that_sees(llm, dialect, tmp_path):
    image, text = tmp_path / "dot.png", prompt(say="A dot.")
    image.write_bytes(base64.b64decode(PIXEL.split(",")[1]))
    code, out, err = llm("-m", "glm-vision", "-a", str(image), text)
    assert (code, out) == (0, "A dot.\n"), err
    if dialect == "openai":
        assert PIXEL in json.dumps(asked(text)[0]["body"])


def test_heartbeats_are_passed_over(llm):
    assert llm("-m", "glm", prompt(**SLOW))[1] == f"{SAID}\n"


def test_a_conversation_goes_on(llm):
    first, second = prompt(say=SAID), prompt(say="And so.")
    assert llm("-m", "glm", first)[0] == 0
    assert llm("-c", second)[1] == "And so.\n"
    (heard,) = asked(second)
    assert [message["role"] for message in heard["body"]["messages"]] == ["user", "assistant", "user"]
    assert heard["body"]["messages"][1]["content"] == SAID


@pytest.mark.parametrize(
    ("how", "wish"), [([], {"fail_after": 3}), ([], {"cut_after": 3}), (["--no-stream"], {"cut_after": 3})]
)
def test_an_answer_that_breaks_off_is_an_error(llm, how, wish):
    code, _, err = llm("-m", "glm", *how, prompt(say=SAID, **wish))
    assert code == 1 and err.startswith("Error: "), err


def test_an_error_says_what_to_do(llm):
    code, _, err = llm("-m", "nobody", "Why?")
    assert code == 1 and "The model `gpt-4o` does not exist" in err
    code, _, err = llm("-m", "glm", "--key", "wrong", "Why?")
    assert code == 1 and "The API key is not valid" in err


def test_a_program_that_is_stopped_ends_the_upstreams_answer(start):
    text = prompt(**STALLED)
    child = start("-m", "glm", text)
    assert child.stdout.read(1) == SAID[0]
    child.send_signal(signal.SIGINT)
    until_closed(text)
