"""Runs every client's check, two at a time, each on a stage of its own, and then judges all that was
said, to the Rust tests too, by OpenAI's description. `python all.py NODE [CHECK ...]`: NODE is the folder in which Node finds
its packages. What was asked and got is printed where a check fails; logs are in target/clients."""

import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import schema
import typed
from stage import Stage
from table import HERE, clients

OUT = Path("target/clients/runs")
# What the Rust tests heard, if they kept it (Z2API_SAID).
SAID = Path("target/said")
# No client needs longer, on a loaded machine neither.
PATIENCE = 600


def command(check, node):
    if check.endswith(".mjs"):
        for script in HERE.glob("*.mjs"):
            shutil.copy(script, node)
        return ["node", "--test", "--test-reporter=spec", node / check]
    quiet = ["-q", "-p", "no:cacheprovider", "--disable-warnings"]
    return [sys.executable, "-m", "pytest", *quiet, "--tb=short", "--showlocals", HERE / check]


def run(client, node):
    """Whether the check passed, how long it took, and what it printed."""
    began = time.monotonic()
    with Stage(OUT / client.check, client.mode) as stage:
        done = subprocess.run(
            command(client.check, node), env=stage.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE,
        )
    return done.returncode == 0, time.monotonic() - began, done.stdout


def main(node, wanted):
    shutil.rmtree(OUT, ignore_errors=True)
    chosen = [client for client in clients() if not wanted or client.check in wanted]
    with ThreadPoolExecutor(max_workers=2) as pool:
        runs = [(client, pool.submit(run, client, node)) for client in chosen]
        passed = True
        for client, running in runs:
            fine, seconds, said = running.result()
            passed &= fine
            print(f"\n-- {client.label}, {client.mode}: {'well' if fine else 'FAILED'} in {seconds:.0f} s")
            lines = said.rstrip().splitlines()
            print("\n".join(lines[-8:] if fine else lines), flush=True)
            if not fine:
                print(f"All that was asked and got: {sys.executable} {HERE}/tap.py {OUT / client.check}/*.tap")
    print("\n-- The types of the vendors' packages", flush=True)
    passed &= typed.main([OUT]) == 0
    print("\n-- OpenAI's API description", flush=True)
    return 1 if schema.main([OUT, SAID]) or not passed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
