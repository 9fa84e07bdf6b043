"""Uses the gateway as a program does: with OpenAI's Python package, sync and async, streamed and
not, against `z2api-server --demo`. Exits with 0 if all is as it should be."""

import asyncio
import os
import subprocess
import sys

import openai
from openai import AsyncOpenAI, OpenAI

KEY = "sk-client-check-0001"
ASK = {"model": "GLM-4.5-Thinking", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}


def start(server):
    env = {"PORT": "0", "DEFAULT_KEY": KEY, "PATH": os.environ["PATH"]}
    process = subprocess.Popen(
        [server, "--demo"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    address = process.stderr.readline().rsplit("http://", 1)[1].strip()
    return process, f"http://{address}/v1"


def check_text(text):
    assert text.startswith("<think>\n"), text
    assert text.count("\n</think>\n\n") == 1, text
    assert "Why is the sky blue?" in text, text


def check_whole(completion):
    check_text(completion.choices[0].message.content)
    assert completion.choices[0].finish_reason == "stop"
    assert completion.model == "GLM-4.5-Thinking"
    assert completion.usage.total_tokens == (
        completion.usage.prompt_tokens + completion.usage.completion_tokens
    )


class Gathered:
    def __init__(self):
        self.text, self.reasons, self.usage, self.ids = "", [], None, set()

    def add(self, chunk):
        self.ids.add((chunk.id, chunk.created, chunk.model))
        if chunk.usage:
            assert chunk.choices == []
            self.usage = chunk.usage
        for choice in chunk.choices:
            self.text += choice.delta.content or ""
            if choice.finish_reason:
                self.reasons.append(choice.finish_reason)

    def check(self):
        check_text(self.text)
        assert self.reasons == ["stop"], self.reasons
        assert len(self.ids) == 1, self.ids
        assert self.usage.total_tokens > 0


STREAM = {"stream": True, "stream_options": {"include_usage": True}}


def sync(base_url):
    client = OpenAI(base_url=base_url, api_key=KEY)
    names = [model.id for model in client.models.list()]
    assert {"GLM-4.5", "GLM-4.5-Thinking", "GLM-4.5-Search"} <= set(names), names
    assert client.models.retrieve("GLM-4.5").id == "GLM-4.5"
    check_whole(client.chat.completions.create(**ASK))
    gathered = Gathered()
    for chunk in client.chat.completions.create(**ASK, **STREAM):
        gathered.add(chunk)
    gathered.check()
    with client.chat.completions.stream(**ASK) as stream:
        check_text(stream.get_final_completion().choices[0].message.content)
    separate = client.chat.completions.create(**ASK, extra_body={"reasoning_format": "reasoning"})
    assert "<think>" not in separate.choices[0].message.content
    assert separate.choices[0].message.reasoning_content
    raw = client.chat.completions.with_raw_response.create(**ASK)
    assert raw.headers["x-request-id"] == raw.parse()._request_id

    # A reader that stops early does not hold its slot.
    stream = client.chat.completions.create(**ASK, stream=True)
    next(iter(stream))
    stream.close()


def errors(base_url):
    client = OpenAI(base_url=base_url, api_key=KEY, max_retries=0)
    for error, fields in [
        (openai.NotFoundError, {**ASK, "model": "gpt-4o"}),
        (openai.BadRequestError, {**ASK, "messages": []}),
        (openai.BadRequestError, {**ASK, "n": 2}),
    ]:
        try:
            client.chat.completions.create(**fields)
        except error as caught:
            assert caught.type == "invalid_request_error" and caught.request_id, caught
        else:
            raise AssertionError(f"{error} expected")
    try:
        OpenAI(base_url=base_url, api_key="wrong").models.list()
    except openai.AuthenticationError as caught:
        assert caught.code == "invalid_api_key"
    else:
        raise AssertionError("a wrong key passed")


async def asynchronous(base_url):
    async with AsyncOpenAI(base_url=base_url, api_key=KEY) as client:

        async def streamed():
            gathered = Gathered()
            async for chunk in await client.chat.completions.create(**ASK, **STREAM):
                gathered.add(chunk)
            gathered.check()

        async def whole():
            check_whole(await client.chat.completions.create(**ASK))

        await asyncio.gather(*[streamed() for _ in range(8)], *[whole() for _ in range(8)])


def main():
    process, base_url = start(sys.argv[1])
    try:
        sync(base_url)
        errors(base_url)
        asyncio.run(asynchronous(base_url))
    finally:
        process.terminate()
        code = process.wait(timeout=60)
    assert code == 0, f"the gateway exited with {code}"
    print(f"openai {openai.__version__} for Python: all well")


main()
