"""The ways in which README.md has observability/prometheus.yml changed. As a program: writes each into
a folder of its own below the one it is given, with what it names beside it."""

import re
import sys
from pathlib import Path

FILES = Path(__file__).resolve().parent / "observability"
DEFAULT = "z2api:8080"
# Each way by its name: the comments whose settings are taken in, and the target.
WAYS = {
    "defaults": ([], DEFAULT),
    "ADMIN_KEY": (["ADMIN_KEY is set"], DEFAULT),
    "ADMIN_ADDR": ([], "z2api:9100"),
    "TLS": (["The gateway speaks TLS"], DEFAULT),
    "all": (["ADMIN_KEY is set", "The gateway speaks TLS"], "z2api:9100"),
}


def config(way, target=None):
    """The file as it is after the change; `target` in place of the one in a Compose network."""
    labels, named = WAYS[way]
    lines, taken, left = [], None, set(labels)
    for line in (FILES / "prometheus.yml").read_text("utf-8").splitlines():
        if label := re.fullmatch(r" *# ([A-Z].*):", line):
            taken = label[1] in labels
            left.discard(label[1])
        elif setting := re.fullmatch(r"( *)#( *[a-z_]+:.*)", line):
            line = setting[1] + setting[2] if taken else line
        lines.append(line)
    text = "\n".join(lines) + "\n"
    assert not left, f"no such comments: {left}"
    assert text.count(f'["{DEFAULT}"]') == 1, "one target"
    return text.replace(f'["{DEFAULT}"]', f'["{target or named}"]')


def write(way, folder, target=None, admin_key="for-the-check\n", ca=None):
    """Writes one, as it lies in the container."""
    (folder / "secrets").mkdir(parents=True)
    (folder / "prometheus.yml").write_text(config(way, target), "utf-8")
    (folder / "alerts.yml").write_bytes((FILES / "alerts.yml").read_bytes())
    (folder / "secrets/admin-key").write_text(admin_key, "utf-8")
    if ca:
        (folder / "secrets/ca.pem").write_bytes(Path(ca).read_bytes())


if __name__ == "__main__":
    for name in WAYS:
        write(name, Path(sys.argv[1]) / name, ca="/dev/null")
        print(name)
