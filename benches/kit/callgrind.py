"""What callgrind counted, told by where in the sources an instruction comes from.

By name, a function that the compiler has put into its caller is not there at all. So a profile is
read instruction by instruction, and each address is looked up in the program's line tables, which
tell of every function that it stands in, inlined or not.
"""

import os
import re
import subprocess
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache


@dataclass
class Function:
    """Instructions by address, and calls: (from, name, address of what is called, how often,
    instructions within). That address is None outside of the program."""

    selves: dict = field(default_factory=lambda: defaultdict(int))
    calls: list = field(default_factory=list)


@dataclass
class Profile:
    """All instructions, and the program's functions by their names; whatever else there is has
    none."""

    total: int = 0
    functions: dict = field(default_factory=lambda: defaultdict(Function))

    @classmethod
    def read(cls, path, program):
        """Of `callgrind --dump-instr=yes --dump-line=no --compress-strings=no --compress-pos=no`."""
        found, program = cls(), f"ob={program}"
        inside = to_inside = False
        function, call = Function(), None
        with open(path) as lines:
            for line in lines:
                if line.startswith("0x"):
                    address, cost = int(line.split()[0], 16), int(line.split()[1])
                    if call:
                        function.calls.append((address, *call, cost))
                        call = None
                    else:
                        found.total += cost
                        function.selves[address] += cost
                elif line.startswith("ob="):
                    inside = line.rstrip("\n") == program
                elif line.startswith("fn="):
                    to_inside = inside
                    function = found.functions[line[3:].strip()] if inside else Function()
                elif line.startswith("cob="):
                    to_inside = line[1:].rstrip("\n") == program
                elif line.startswith("cfn="):
                    callee = line[4:].strip()
                elif line.startswith("calls="):
                    often, target = line[6:].split()[:2]
                    call = callee, int(target, 16) if to_inside else None, int(often)
                    to_inside = inside
        return found

    def addresses(self):
        """All that stand in it."""
        for function in self.functions.values():
            yield from function.selves
            for address, _, target, _, _ in function.calls:
                yield address
                if target is not None:
                    yield target


@cache
def short(name):
    """A function's own name, without path, type parameters and hash."""
    name = re.sub(r"::h[0-9a-f]{16}$", "", name)
    while (bare := re.sub(r"<[^<>]*>", "", name)) != name:
        name = bare
    return name.rsplit("::", 1)[-1]


class Sources:
    """For an address of the program, the functions it stands in: the innermost first."""

    def __init__(self, program):
        self.program = program
        self.known = {}

    def learn(self, addresses):
        asked, cores = sorted(set(addresses) - self.known.keys()), os.cpu_count() or 1
        share = len(asked) // cores + 1
        with ThreadPoolExecutor(cores) as pool:
            for answer in pool.map(self._ask, (asked[at:at + share] for at in range(0, len(asked), share))):
                self._note(answer)

    def _ask(self, addresses):
        return subprocess.run(
            ["addr2line", "-a", "-f", "-i", "-C", "-e", self.program],
            input="\n".join(map(hex, addresses)), check=True, capture_output=True, text=True,
        ).stdout

    def _note(self, answer):
        lines, chain = iter(answer.splitlines()), []
        for name in lines:
            if name.startswith("0x"):
                chain = self.known[int(name, 16)] = []
            else:
                chain.append((short(name), next(lines).rsplit(":", 1)[0]))

    def chain(self, address):
        return self.known[address]
