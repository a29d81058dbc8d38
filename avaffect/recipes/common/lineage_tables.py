"""A lineage in words: a row for each file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from avaffect.core.table import Table
from avaffect.recipes.common.ancestry import FOREIGN, Ancestor


def goals(files: Sequence[Path]) -> list[str]:
    """The paths that a Makefile is for, each once."""
    return list(dict.fromkeys(map(str, files)))


def table(found: Sequence[Ancestor]) -> Table:
    """A row for each ancestor, with the paths of its inputs."""
    by_key = {each.key: each for each in found}
    rows = [
        [shown(each), kind_of(each), each.command,
         ", ".join(dict.fromkeys(shown(by_key[p.key]) for p in each.parents))]
        for each in found
    ]  # fmt: skip
    return Table.of("Lineage", ["file", "kind", "made by", "from"], rows)


def shown(each: Ancestor) -> str:
    """The path of an ancestor, in words where it has none."""
    return each.path or "(a stream)"


def kind_of(each: Ancestor) -> str:
    """The kind of an ancestor, and what it holds: checkpoint of an encoder is `encoder`."""
    kind = "input" if each.kind == FOREIGN else each.kind
    return each.content or kind
