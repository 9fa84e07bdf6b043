"""Sets the stage for one client: a simulated upstream that answers as the prompt says, and a gateway
in front of it for each dialect, each behind a tap that records what client and gateway say.

`Stage(folder, mode)` is a context manager. A client finds what it needs in the environment variable
Z2API_STAGE, as JSON: `key`, `sim`, `mode`, and for each dialect a base URL."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

from tap import Tap

KEY, TOKEN = "sk-client-check-0001", "upstream-token-0001"
# What no log may hold: keys, and a piece of what is asked and answered (see scene.py).
PRIVATE = (KEY, TOKEN, "Grüße, 世界")
BINARIES = Path(os.environ["Z2API_BINARIES"]).resolve()
# Long enough for a loaded machine; only something that hangs takes so long.
PATIENCE = 60


class Program:
    """A child process that serves until it is told to stop."""

    def __init__(self, log, name, *arguments, **variables):
        self.name, self.log = name, log
        with open(log, "w") as file:
            self.process = subprocess.Popen(
                [BINARIES / name, *arguments], env={"PATH": os.environ["PATH"], **variables},
                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
            )

    def told(self, pattern):
        """What it says about itself when it has started."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(pattern, self.log.read_text()):
                return found.groups()
            time.sleep(0.02)
        self.process.kill()
        raise RuntimeError(f"{self.name} did not start: {self.log.read_text()}")

    def stop(self):
        self.process.terminate()
        code = self.process.wait(timeout=PATIENCE)
        assert code == 0, f"{self.name} exited with {code}; see {self.log}"
        said = self.log.read_text("utf-8")
        found = [secret for secret in PRIVATE if secret in said]
        assert not found, f"{found} in {self.log}"


def simulator(folder):
    return Program(folder / "sim.log", "z2api-upstream-sim", "--port", "0", "--prompted")


def gateway(folder, dialect, upstream, mode):
    """With the mode of the README's table of clients, a heartbeat after each second of silence, and a log
    at the finest level. A retry would only hide an error."""
    return Program(
        folder / f"gateway-{dialect}.log", "z2api-server",
        HOST="127.0.0.1", PORT="0", DEFAULT_KEY=KEY, THINK_TAGS_MODE=mode,
        UPSTREAM_URL=upstream, UPSTREAM_TOKEN=TOKEN, MAX_RETRIES="0",
        CONNECTION_CHECK_INTERVAL="1", RUST_LOG="trace",
    )


class Stage:
    def __init__(self, folder, mode):
        self.folder, self.mode = Path(folder), mode
        self.folder.mkdir(parents=True, exist_ok=True)
        self.started = []

    def __enter__(self):
        try:
            urls = self._keep(simulator(self.folder)).told(r"(http://\S+)\n(http://\S+)\n")
            self.scene = {"key": KEY, "mode": self.mode, "sim": urls[0].partition("/api/")[0]}
            for dialect, upstream in zip(("zai-web", "openai"), urls):
                program = self._keep(gateway(self.folder, dialect, upstream, self.mode))
                (address,) = program.told(r"http://([0-9.:]+)\s")
                tap = self._keep(Tap(address, self.folder / f"{dialect}.tap"))
                self.scene[dialect] = f"http://{tap.address}/v1"
        except BaseException:
            self.__exit__()
            raise
        return self

    def _keep(self, thing):
        self.started.append(thing)
        return thing

    def environment(self):
        """Nothing of the caller's settings: neither keys nor proxies. No price list is fetched."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {**kept, "Z2API_STAGE": json.dumps(self.scene), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}

    def __exit__(self, *_):
        while self.started:
            self.started.pop().stop()
