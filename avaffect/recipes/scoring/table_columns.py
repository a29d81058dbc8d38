"""Columns of tables of other programs, and the names by which their rows are matched."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from avaffect.core.errors import DataError
from avaffect.core.hashing import file_content_id
from avaffect.core.headers import ManifestHeader
from avaffect.core.near import meant
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.data.corpora.common import SUFFIXES
from avaffect.data.manifest import Item, Manifest
from avaffect.data.tables import spellings
from avaffect.data.tables.locating import with_slashes
from avaffect.data.tables.numerals import is_missing
from avaffect.data.tables.reader import Table, of_part, plain_name, read_table, unique_names
from avaffect.recipes.common.work import some_of
from avaffect.recipes.scoring.matching import IDENTITIES, but_for_prefix

# Compared without capitals, blanks and signs; earlier names take precedence.
ID_NAMES = (
    "id", "utt", "uttid", "utterance", "utteranceid", "segment", "segmentid", "key", "file",
    "filename", "filepath", "path", "wav", "wavfile", "audio", "audiofile", "audiopath",
    "recording", "clip", "video", "media", "name", "instance", "instancename",
)  # fmt: skip
PREDICTED_NAMES = (
    "prediction", "predicted", "pred", "predictedlabel", "predictedclass", "predictedemotion",
    "predlabel", "predclass", "ypred", "hypothesis", "hyp", "output",
)  # fmt: skip
TRUE_NAMES = (
    "gold", "true", "truth", "groundtruth", "gt", "truelabel", "trueclass", "ytrue", "actual",
    "reference", "ref", "target", "label", "class",
)  # fmt: skip
PREDICTED_WORDS, TRUE_WORDS = ("pred", "predicted", "prediction"), ("true", "gold")
SPLIT_NAMES = ("split", "set", "partition", "subset")

# Start and end of a part of a recording in seconds, None for the whole recording.
Part = tuple[float | None, float | None]
Value = TypeVar("Value")


@dataclass
class TablePredictions(Manifest):
    """A table as a manifest of predictions. namings: possible ids of its rows, a list for each way
    to derive them; the items have the first."""

    namings: list[list[str]] = field(default_factory=list)

    @cached_property
    def content_id(self) -> str:
        """Of the table's bytes, by which a command that reads its report finds it again."""
        return super().content_id if self.path is None else file_content_id(self.path)


def rows(table: Table, fields: Sequence[str]) -> list[Item]:
    """Split, run and fold of the rows, and those of `fields` that the table has."""
    splits = splits_of(table)
    also = values_of(table, fields)
    runs, folds = (column_of(table, (name,)) for name in ("run", "fold"))
    items: list[Item] = []
    for place, (_, row) in enumerate(table.dictionaries(table.names)):
        item: Item = {}
        if splits and row[splits[0]] in splits[1]:
            item["split"] = splits[1][row[splits[0]]]
        for key, column in (("run", runs), ("fold", folds)):
            if column:
                item[key] = int(row[column]) if row[column].isdecimal() else row[column]
        for key, values in also.items():
            if values[place] is not None and key not in ("id", "prediction", "gold"):
                item.setdefault(key, values[place])
        items.append(item)
    return items


def with_ids(
    header: ManifestHeader, table: Table, ids: str | None, of_labels: Sequence[list[Item]],
    has_gold: bool,
) -> TablePredictions:  # fmt: skip
    """The predictions of a table. of_labels: of each label, the items of all rows without ids; ids:
    the column of ids, None for a usual name; has_gold: whether the gold is in another file.

    Raises DataError where ids are missing that are needed, or are not distinct.
    """
    namings = list(namings_of(table, ids, [str(item.get("run", "")) for item in of_labels[0]]))
    if has_gold and not namings:
        raise lacking(table, "ids, such as id, utt or file; name it with --id")
    # Rows of one table that holds both sides need no names.
    namings = namings or [[f"row {line}" for line, _ in table.rows]]
    made = [
        {"id": name, **item}
        for items in of_labels
        for name, item in zip(namings[0], items, strict=True)
    ]
    whole = [names * len(of_labels) for names in namings]
    return TablePredictions(header, made, table.path, whole)


def by_names(
    table: Table, ids: str | None, values: Sequence[Value]
) -> tuple[dict[str, Value], list[tuple[str, Value]]]:
    """Id -> value of the rows, and further names of the rows with their values. Raises as
    `with_ids`."""
    namings = list(namings_of(table, ids, [""] * len(values)))
    if not namings:
        raise lacking(table, "ids, such as id, utt or file; name it with --id")
    own, *others = ([*zip(names, values, strict=True)] for names in namings)
    return dict(own), [pair for naming in others for pair in naming]


def unpredicted(table: Table, line: int, column: str, what: str) -> DataError:
    """what: a class, or number."""
    return DataError(f"{table.path}, line {line}: {column} is missing: no {what} is predicted")


def values_of(table: Table, fields: Sequence[str]) -> dict[str, list[Any]]:
    """Field -> texts, or numbers, of the rows, None where one is missing; of those that the table
    has."""
    found: dict[str, list[Any]] = {}
    for name in fields:
        column = column_of(table, (plain_name(name),))
        if column is not None:
            texts = table.column(column)
            numbers = None if name in IDENTITIES else numbers_in(table, column)
            pairs = zip(texts, texts if numbers is None else numbers)
            found[name] = [None if is_missing(text) else value for text, value in pairs]
    return found


def fields(path: Path, names: Sequence[str], ids: str | None) -> Iterator[Item]:
    """Fields of the rows of a table, under each name that a row may have."""
    table = read_table(path)
    values = values_of(table, names)
    if not values:
        return
    for naming in namings_of(table, ids if ids in table.names else None, [""] * len(table.rows)):
        for place, identifier in enumerate(naming):
            yield {"id": identifier, **{name: of[place] for name, of in values.items()}}


def numbers_in(table: Table, column: str) -> list[float] | None:
    """A column of numbers alone, NaN where one is missing; None of another."""
    found = table.numbers([column]).of(table.column(column))
    known = [value for value in found if value is not None]
    return known if len(known) == len(found) else None


def names_of(
    recordings: Sequence[str], parts: Sequence[Part], values: Sequence[Value]
) -> list[tuple[str, Value]]:
    """Names of utterances by their recordings, as tables of other programs write them, each with
    its value: without folder and suffix and with, the whole where it is one utterance, else a
    part."""
    texts = [with_slashes(text) for text in recordings]
    return [
        (name, value)
        for spelled in ([_stem(text) for text in texts], texts)
        for names in (unique_names(spelled, parts), map(of_part, spelled, parts))
        for name, value in zip(names, values, strict=True)
    ]


def matched(found: Manifest, known: Collection[str], progress: Progress) -> Manifest:
    """Predictions under the ids of the gold, which are `known`.

    Of a table, the ids that agree with the most gold ids; where none agrees, ids that are equal but
    for a prefix on one side. Raises DataError where no id is in both.
    """
    there = set(known)
    if isinstance(found, TablePredictions):
        best = sorted(found.namings, key=lambda names: -len(there & set(names)))
        # One recording may be whole in the gold, and the next in parts.
        items = [
            item | {"id": next((name for name in names if name in there), names[0])}
            for item, names in zip(found.items, zip(*best, strict=True), strict=True)
        ]
        found = replace(found, items=items)
    ids = [item["id"] for item in found.items if isinstance(item.get("id"), str)]
    names = but_for_prefix(dict.fromkeys(ids), known)
    if names:
        pairs = [f"{own} is {other}" for own, other in names.items()]
        progress.say(
            f"{found.name}: {count_of(len(pairs), 'utterance differs', 'utterances differ')} from "
            f"the gold in a prefix of their ids, and were matched without it: {some_of(pairs, 2)}"
        )
        items = [i | {"id": names.get(i["id"], i["id"])} if "id" in i else i for i in found.items]
        return replace(found, items=items)
    if ids and there.isdisjoint(ids):
        raise DataError(
            f"{found.name} and its gold have no utterance in common: predictions are of "
            f"{some_of(ids, 3)}, the gold is of {some_of(list(known), 3)}"
        )
    return found


def column_of(table: Table, names: Sequence[str]) -> str | None:
    """The column with the first of these names, or of their plurals."""
    plain = {plain_name(name): name for name in reversed(table.names)}
    return next((plain[n] for name in names for n in (name, f"{name}s") if n in plain), None)


def with_label(words: Sequence[str], label: str) -> list[str]:
    """predemotion, emotionpred and similar names."""
    plain = plain_name(label)
    return [name for word in words for name in (word + plain, plain + word)]


def named_column(table: Table, name: str) -> str:
    """Raises DataError where there is no column of this name."""
    if name not in table.names:
        have = ", ".join(filter(None, table.names))
        raise DataError(
            f"{table.path} has no column {name!r} (it has: {have}){meant(name, table.names)}"
        )
    return name


def lacking(table: Table, what: str) -> DataError:
    have = ", ".join(filter(None, table.names))
    return DataError(
        f"{table.path} has no column of {what} (it has: {have}); --label NAME=OTHER names the "
        "columns of predictions and gold labels, --gold another file with these"
    )


def splits_of(table: Table) -> tuple[str, dict[str, str]] | None:
    """The column of splits, and spelling -> split; unknown ones keep their spelling."""
    column = column_of(table, SPLIT_NAMES)
    if column is None:
        return None
    found = {text for text in table.column(column) if not is_missing(text)}
    return column, {text: text for text in found} | spellings.splits_of(found)


def namings_of(table: Table, ids: str | None, runs: Sequence[str]) -> Iterator[list[str]]:
    """The ids of all rows, in each possible way: by each column that may hold them, with folder and
    suffix or without, with the times of a part of a recording or without.

    Raises DataError where there are such columns, but none has distinct ids for the rows of a run.
    """
    plain = {plain_name(name): name for name in reversed(table.names)}
    columns = [ids] if ids else [plain[name] for name in ID_NAMES if name in plain]
    start, end = (column_of(table, (name,)) for name in ("start", "end"))
    written = table.numbers([name for name in (start, end) if name])
    unknown = [math.nan] * len(table.rows)
    starts = written.times(table.column(start)) if start else unknown
    ends = written.ends(table.column(end)) if end else unknown
    times = [(_or_none(a), _or_none(b)) for a, b in zip(starts, ends, strict=True)]
    twice: str | None = ""
    for column in columns:
        texts = [with_slashes(text) for text in table.column(column)]
        for names in ([_stem(text) for text in texts], texts):
            for found in (unique_names(names, times, runs), list(map(of_part, names, times))):
                counts = Counter(zip(runs, found, strict=True))
                if max(counts.values(), default=1) == 1:
                    yield found
                    twice = None
                elif twice == "":
                    (_, name), _ = counts.most_common(1)[0]
                    lines = [line for (line, _), n in zip(table.rows, found) if n == name]
                    twice = f"lines {lines[0]} and {lines[1]} are both {name} by column {column!r}"
    if twice:
        raise DataError(
            f"{table.path}: {twice}; name a column of ids with --id, and one of runs run"
        )


def _or_none(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def _stem(text: str) -> str:
    """The name of a recording without folder and suffix; other ids unchanged."""
    path = PurePosixPath(text)
    return path.stem if path.suffix.lower() in SUFFIXES else path.name
