"""README's commands can be typed one after the other."""

from __future__ import annotations

import ast
import dataclasses
import re
import shlex
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from avaffect.cli.catalogue import COMMANDS, imported

TEXT = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
LOOP = re.compile(r"^for (\w+) in (.+?);[^\n]*\n(.*?)^done", re.M | re.S)


def of_shell() -> Iterator[list[str]]:
    """Words of every command of the blocks, loops unrolled, and of the text."""
    text = "\n".join(re.findall(r"```sh\n(.*?)```", TEXT, re.S)).replace("\\\n", " ")
    text = LOOP.sub(lambda loop: "\n".join(
        loop[3].replace(f"${loop[1]}", value) for value in loop[2].split()), text)  # fmt: skip
    within = re.findall(r"`(avaffect [^`]+)`", TEXT.replace("\n", " "))
    for line in [*text.splitlines(), *within]:
        words = shlex.split(line, comments=True)
        bounds = [-1, *(n for n, word in enumerate(words) if word == "|"), len(words)]
        for start, end in pairwise(bounds):
            command = words[start + 1 : end]
            if command[:1] == ["avaffect"] and command[1] in COMMANDS and "..." not in command:
                yield command[1:]


def of_python() -> Iterator[list[str]]:
    """The same of the functions in the block of Python."""
    for call in ast.walk(ast.parse(TEXT.split("```python\n")[1].split("```")[0])):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            name = call.func.attr.replace("_", "-")
            if name in COMMANDS:
                options = []
                for item in call.keywords:
                    flag = "-o" if item.arg == "output" else f"--{item.arg}"
                    options += [flag, str(ast.literal_eval(item.value))]
                yield [name, *(ast.literal_eval(each) for each in call.args), *options]


def output(command: list[str]) -> str | None:
    """The file that a command writes: by option, or by default."""
    if "-o" in command:
        return command[command.index("-o") + 1]
    fields = {
        item.name: item for item in dataclasses.fields(imported(COMMANDS[command[0]].settings))
    }
    default = fields["output"].default if "output" in fields else None
    return str(default) if isinstance(default, Path) else None


def test_no_command_writes_what_another_wrote() -> None:
    """With status 73, that is."""
    writers = defaultdict(set)
    for command in (*of_shell(), *of_python()):
        name = output(command)
        if name is not None:
            writers[name].add(" ".join(command))
    assert len(writers) > 25
    assert {name: found for name, found in writers.items() if len(found) > 1} == {}
