"""A lineage as a Makefile: a rule for each artifact, whose prerequisites are its inputs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from avaffect.recipes.common import command_lines
from avaffect.recipes.common.ancestry import FOREIGN, MISSING, STREAM, Ancestor
from avaffect.recipes.common.command_lines import Unknown

HEAD = """\
# The commands that made {names}, for GNU make, from the folder of this file.
# A file that is there and newer than its inputs is kept.
.DELETE_ON_ERROR:
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
AVAFFECT ?= avaffect
EQUALS := =
"""
# What no name of a make's rule, and no line of its recipe, can be made of.
_UNSPELLABLE = re.compile(r"[\x00-\x1f\x7f]"), re.compile(r"[;|]")


def makefile(lineage: Sequence[Ancestor], goals: Sequence[str]) -> str:
    """The text of a Makefile. lineage: parents before children; goals: paths of what is wanted.

    An artifact whose command is not recorded has no recipe, and a comment with the reason.
    """
    by_key = {each.key: each for each in lineage}
    parts = [HEAD.format(names=_comment(", ".join(goals)))]
    spelled = " ".join(_name(path) for path in goals if not _is_unspellable(path))
    parts.append(f".PHONY: all\nall: {spelled}\n")
    for each in lineage:
        if each.kind not in (STREAM, FOREIGN, MISSING):
            parts.append("\n".join(_rule(each, by_key)) + "\n")
    return "\n".join(parts)


def _rule(made: Ancestor, lineage: Mapping[str, Ancestor]) -> list[str]:
    try:
        line = _line(made, lineage)
        paths = [made.path, *dict.fromkeys(_needed(made, lineage))]
        for path in paths:
            if _is_unspellable(path):
                raise Unknown(f"make cannot spell the name {path!r}")
        if _UNSPELLABLE[0].search(line):
            raise Unknown("its command has a line break or another control character")
    except Unknown as error:
        # Without a recipe make takes a file that is there, and stops where it is not.
        return [f"# {_comment(made.path)}: not to be made again: {_comment(str(error))}"]
    target, *needed = map(_name, paths)
    # A percent sign makes a pattern of a target, but of no prerequisite.
    target = target.replace("%", "\\%")
    folder = made.path.rpartition("/")[0]
    made_first = [f"\t@mkdir -p {_quoted(folder)}"] if folder else []
    return [f"{target}: {' '.join(needed)}".rstrip(), *made_first, f"\t{line}"]


def _line(made: Ancestor, lineage: Mapping[str, Ancestor]) -> str:
    """The command, behind a pipe of those whose manifest it read from a stream."""
    words = command_lines.arguments(made, lineage)
    before = [lineage[p.key] for p in made.parents if lineage[p.key].kind == STREAM]
    pipe = f"{_line(before[0], lineage)} | " if before else ""
    output = f" -o {_quoted(command_lines.path_of(made))}" if made.path else ""
    return f"{pipe}$(AVAFFECT) {' '.join(map(_quoted, words))}{output}"


def _needed(made: Ancestor, lineage: Mapping[str, Ancestor]) -> Iterator[str]:
    """The files that a rule waits for. Folders are left out: their times say nothing of what is in
    them."""
    for parent in made.parents:
        other = lineage[parent.key]
        if other.kind == STREAM:
            yield from _needed(other, lineage)
        elif other.kind != FOREIGN:
            yield other.path


def _name(path: str) -> str:
    """A path as a target or prerequisite."""
    for sign in "\\ #:*?[":
        path = path.replace(sign, "\\" + sign)
    return ("./" * path.startswith("~") + path.replace("$", "$$")).replace("=", "$(EQUALS)")


def _is_unspellable(path: str) -> bool:
    return any(pattern.search(path) for pattern in _UNSPELLABLE)


def _quoted(word: str) -> str:
    """A word of a recipe's shell."""
    return shlex.quote(word).replace("$", "$$")


def _comment(text: str) -> str:
    return " ".join(text.replace("\\", "/").split())
