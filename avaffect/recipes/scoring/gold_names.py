"""Gold of several files by id, and by the names that other programs derive from recordings."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from avaffect.core.errors import DataError
from avaffect.core.hashing import file_content_id
from avaffect.core.nouns import share_of
from avaffect.core.progress import Progress
from avaffect.data import artifacts
from avaffect.data.items import audio_of
from avaffect.data.manifest import Item
from avaffect.data.store.reader import Store
from avaffect.recipes.common import work
from avaffect.recipes.scoring import table_columns

Value = TypeVar("Value")
# Name -> value of an utterance, several times where several utterances may be meant.
Names = Sequence[tuple[str, Value]]


class ByName(dict[str, Value]):
    """Values by id, and by further names of the same utterances. labelled: utterances with a
    value."""

    labelled = 0


def joined(files: Iterable[tuple[Path, dict[str, Value], Names[Value]]]) -> ByName[Value]:
    """Id -> value, and further name -> value where that means one value.

    files: path, values by id, and further names. Raises DataError where an id is in two files.
    """
    found: ByName[Value] = ByName()
    also: dict[str, set[Value]] = defaultdict(set)
    home: dict[str, Path] = {}
    for path, values, names in files:
        for identifier in values:
            if identifier in home:
                raise DataError(f"the id {identifier} is in {home[identifier]} and in {path}")
            home[identifier] = path
        found.update(values)
        for name, value in names:
            also[name].add(value)
    found.labelled = sum(value is not None for value in found.values())
    for name, meant in also.items():
        if len(meant) == 1:
            found.setdefault(name, *meant)
    return found


def say_unscored(name: str, gold: Mapping[str, object], scored: int, progress: Progress) -> None:
    """Where the gold has more utterances than are scored: how many. name: of the predictions."""
    whole = gold.labelled if isinstance(gold, ByName) else 0
    if scored < whole:
        progress.say(f"{name}: {share_of(scored, whole, 'utterance')} with gold are scored")


def in_store(store: Store, values: Sequence[Value]) -> Names[Value]:
    """Names of utterances that are whole recordings."""
    sources = [str(source) for source in store.meta.get("source", ())]
    once = Counter(sources)
    whole = [(n, value) for n, value in zip(sources, values) if n and once[n] == 1]
    parts = [(None, None)] * len(whole)
    return table_columns.names_of([n for n, _ in whole], parts, [value for _, value in whole])


def in_manifest(items: Sequence[Item], values: Sequence[Value]) -> Names[Value]:
    """Names of the items of a corpus."""
    recordings = [audio_of(item) for item in items]
    parts = [(item.get("start"), item.get("end")) for item in items]
    return table_columns.names_of(recordings, parts, values)


def inputs(paths: Iterable[Path]) -> list[work.Input]:
    """The files of --gold as inputs of a report."""
    return [
        ("gold", path, file_content_id(path)) if artifacts.is_table(path)
        else work.file_inputs("gold", [path])[0]
        for path in paths
    ]  # fmt: skip
