"""Predicted and gold classes in tables of other programs."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from avaffect.core.errors import DataError
from avaffect.core.near import meant
from avaffect.core.progress import Progress
from avaffect.data import manifest
from avaffect.data.corpora.common import SUFFIXES
from avaffect.data.manifest import Item, Manifest
from avaffect.data.tables import spellings
from avaffect.data.tables.locating import with_slashes
from avaffect.data.tables.numerals import is_missing
from avaffect.data.tables.reader import Table, of_part, plain_name, read_table, unique_names
from avaffect.recipes.common.work import some_of
from avaffect.recipes.scoring.matching import IDENTITIES, but_for_prefix
from avaffect.recipes.scoring.vote_scores import Gold, Votes

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
SPLIT_NAMES = ("split", "set", "partition", "subset")

# Start and end of a part of a recording in seconds, None for the whole recording.
Part = tuple[float | None, float | None]
Names = list[tuple[str, str | Votes | None]]


@dataclass
class TablePredictions(Manifest):
    """A table as a manifest of predictions. namings: possible ids of its rows, a list for each way
    to derive them; the items have the first."""

    namings: list[list[str]] = field(default_factory=list)


def predictions(
    path: Path,
    label: str | None,
    other: str | None,
    default: str,
    has_gold: bool,
    ids: str | None,
    fields: Sequence[str] = (),
    probabilities: bool = False,
) -> TablePredictions:
    """Predicted classes of each row, and gold classes where the table has them.

    label: the column of predictions, or the label's name on both sides; other: the column of gold
    classes where that has another name; default: the label without --label; has_gold: whether
    another file gives the gold classes; ids: the column of ids; fields: further ones, where the
    table has columns of these names; probabilities: whether columns called as the classes are
    theirs. Columns that are not named are recognised by usual names.

    Raises DataError where no column is of predictions, or of gold classes without other gold, or a
    row has no prediction.
    """
    table = read_table(path, [name for name in (ids,) if name])
    wanted = label or default
    if label is not None and other is not None:
        predicted = _named(table, label)
    else:
        names = [*PREDICTED_NAMES, *_with_label(("pred", "predicted", "prediction"), wanted)]
        also = wanted if has_gold and wanted in table.names else None
        known = _known(table, names) or also
        if known is None:
            raise _nothing(table, "predictions, called prediction, predicted or pred")
        predicted = known
    true = None if has_gold else _true(table, other or label, default, predicted)
    items = _items(table, predicted, true, fields)
    if probabilities:
        _add_probabilities(table, items)
    namings = list(_namings(table, ids, [str(item.get("run", "")) for item in items]))
    if has_gold and not namings:
        raise _nothing(table, "ids, such as id, utt or file; name it with --id")
    # Rows of one table that holds both sides need no names.
    namings = namings or [[f"row {line}" for line, _ in table.rows]]
    header = manifest.new_header("predictions", target=other or label or default)
    made = [{"id": name, **item} for name, item in zip(namings[0], items, strict=True)]
    return TablePredictions(header, made, path, namings)


def _items(table: Table, predicted: str, true: str | None, fields: Sequence[str]) -> list[Item]:
    """The values of the rows, without their ids."""
    splits = _splits(table)
    also = _values(table, fields)
    runs, folds = (_known(table, (name,)) for name in ("run", "fold"))
    items: list[Item] = []
    for place, (line, row) in enumerate(table.dictionaries(table.names)):
        if is_missing(row[predicted]):
            raise DataError(
                f"{table.path}, line {line}: {predicted} is missing: no class is predicted"
            )
        item: Item = {"prediction": _class(row[predicted])}
        if true is not None and not is_missing(row[true]):
            item["gold"] = _class(row[true])
        if splits and row[splits[0]] in splits[1]:
            item["split"] = splits[1][row[splits[0]]]
        for key, column in (("run", runs), ("fold", folds)):
            if column:
                item[key] = int(row[column]) if row[column].isdecimal() else row[column]
        for key, values in also.items():
            if values[place] is not None:
                item.setdefault(key, values[place])
        items.append(item)
    return items


def _values(table: Table, fields: Sequence[str]) -> dict[str, list[Any]]:
    """Field -> texts, or numbers, of the rows, None where one is missing; of those that the table
    has."""
    found: dict[str, list[Any]] = {}
    for name in fields:
        column = _known(table, (plain_name(name),))
        if column is not None:
            texts = table.column(column)
            numbers = None if name in IDENTITIES else _numbers(table, column)
            pairs = zip(texts, texts if numbers is None else numbers)
            found[name] = [None if is_missing(text) else value for text, value in pairs]
    return found


def fields(path: Path, names: Sequence[str], ids: str | None) -> Iterator[Item]:
    """Fields of the rows of a table, under each name that a row may have."""
    table = read_table(path)
    values = _values(table, names)
    if not values:
        return
    for naming in _namings(table, ids if ids in table.names else None, [""] * len(table.rows)):
        for place, identifier in enumerate(naming):
            yield {"id": identifier, **{name: of[place] for name, of in values.items()}}


def _numbers(table: Table, column: str) -> list[float] | None:
    """A column of numbers alone, NaN where one is missing; None of another."""
    found = table.numbers([column]).of(table.column(column))
    known = [value for value in found if value is not None]
    return known if len(known) == len(found) else None


def _add_probabilities(table: Table, items: list[Item]) -> None:
    """Raises DataError where no class has a column, or one that is predicted has none."""
    classes = {name for item in items for name in (item["prediction"], item.get("gold")) if name}
    columns = {name: column for name in classes if (column := _known(table, (plain_name(name),)))}
    lacking = sorted({item["prediction"] for item in items} - columns.keys())
    if lacking:
        raise _nothing(table, f"probabilities of {lacking[0]}, called as the class")
    values = {name: _numbers(table, column) for name, column in columns.items()}
    for name, of in values.items():
        if of is None:
            raise DataError(f"{table.path}: the column {columns[name]!r} holds no probabilities")
    for place, item in enumerate(items):
        of_row = {name: of[place] for name, of in values.items() if of is not None}
        if not any(math.isnan(value) for value in of_row.values()):
            item["scores"] = of_row


def gold(path: Path, label: str | None, default: str, ids: str | None) -> tuple[Gold, Names]:
    """Id -> gold class, None where it is missing; and further names of the same rows.

    label: its column; None: one with the name `default`, or a usual name of gold classes; ids: the
    column of ids, where the table has it.
    """
    table = read_table(path)
    ids = ids if ids in table.names else None
    column = _true(table, label, default)
    classes = [None if is_missing(text) else _class(text) for text in table.column(column)]
    namings = list(_namings(table, ids, [""] * len(classes)))
    if not namings:
        raise _nothing(table, "ids, such as id, utt or file; name it with --id")
    own, *others = ([*zip(names, classes, strict=True)] for names in namings)
    return dict(own), [pair for naming in others for pair in naming]


def names_of(recordings: Sequence[str], parts: Sequence[Part], classes: Sequence[Any]) -> Names:
    """Names of utterances by their recordings, as tables of other programs write them, each with
    its class: without folder and suffix and with, the whole where it is one utterance, else a
    part."""
    texts = [with_slashes(text) for text in recordings]
    return [
        (name, known)
        for spelled in ([_stem(text) for text in texts], texts)
        for names in (unique_names(spelled, parts), map(of_part, spelled, parts))
        for name, known in zip(names, classes, strict=True)
    ]


def matched(found: Manifest, known: Gold, progress: Progress) -> Manifest:
    """Predictions under the ids of the gold.

    Of a table, the ids that agree with the most gold ids; where none agrees, ids that are equal but
    for a prefix on one side. Raises DataError where no id is in both.
    """
    if isinstance(found, TablePredictions):
        best = sorted(found.namings, key=lambda names: -len(known.keys() & set(names)))
        # One recording may be whole in the gold, and the next in parts.
        items = [
            item | {"id": next((name for name in names if name in known), names[0])}
            for item, names in zip(found.items, zip(*best, strict=True), strict=True)
        ]
        found = replace(found, items=items)
    ids = [item["id"] for item in found.items if isinstance(item.get("id"), str)]
    names = but_for_prefix(dict.fromkeys(ids), known)
    if names:
        pairs = [f"{own} is {other}" for own, other in names.items()]
        progress.say(
            f"{found.name}: {len(pairs)} utterances differ from the gold in a "
            f"prefix of their ids, and were matched without it: {some_of(pairs, 2)}"
        )
        items = [i | {"id": names.get(i["id"], i["id"])} if "id" in i else i for i in found.items]
        return replace(found, items=items)
    if ids and known.keys().isdisjoint(ids):
        raise DataError(
            f"{found.name} and its gold have no utterance in common: predictions are of "
            f"{some_of(ids, 3)}, the gold is of {some_of(list(known), 3)}"
        )
    return found


def _known(table: Table, names: Sequence[str]) -> str | None:
    """The column with the first of these names, or of their plurals."""
    plain = {plain_name(name): name for name in reversed(table.names)}
    return next((plain[n] for name in names for n in (name, f"{name}s") if n in plain), None)


def _with_label(words: Sequence[str], label: str) -> list[str]:
    """predemotion, emotionpred and similar names."""
    plain = plain_name(label)
    return [name for word in words for name in (word + plain, plain + word)]


def _named(table: Table, name: str) -> str:
    if name not in table.names:
        have = ", ".join(filter(None, table.names))
        raise DataError(
            f"{table.path} has no column {name!r} (it has: {have}){meant(name, table.names)}"
        )
    return name


def _true(table: Table, label: str | None, default: str, predicted: str | None = None) -> str:
    """The column of gold classes, which is not that of predictions: the named one, else one with
    the label's name, else one with a usual name."""
    if label not in (None, predicted):
        return _named(table, label)
    own = _with_label(("true", "gold"), default)
    found = _known(table, [plain_name(default), *TRUE_NAMES, *own])
    if found in (None, predicted):
        raise _nothing(table, f"gold classes, called {default}, gold or true")
    return found


def _nothing(table: Table, what: str) -> DataError:
    have = ", ".join(filter(None, table.names))
    return DataError(
        f"{table.path} has no column of {what} (it has: {have}); --label NAME=OTHER names the "
        "columns of predictions and gold classes, --gold another file with these"
    )


def _class(text: str) -> str:
    """A class; numbers that are equal are the same class: 1.0 and 1."""
    return re.sub(r"^(-?\d+)\.0+$", r"\1", text)


def _splits(table: Table) -> tuple[str, dict[str, str]] | None:
    """The column of splits, and spelling -> split; unknown ones keep their spelling."""
    column = _known(table, SPLIT_NAMES)
    if column is None:
        return None
    found = {text for text in table.column(column) if not is_missing(text)}
    return column, {text: text for text in found} | spellings.splits_of(found)


def _namings(table: Table, ids: str | None, runs: Sequence[str]) -> Iterator[list[str]]:
    """The ids of all rows, in each possible way: by each column that may hold them, with folder and
    suffix or without, with the times of a part of a recording or without.

    Raises DataError where there are such columns, but none has distinct ids for the rows of a run.
    """
    plain = {plain_name(name): name for name in reversed(table.names)}
    columns = [ids] if ids else [plain[name] for name in ID_NAMES if name in plain]
    start, end = (_known(table, (name,)) for name in ("start", "end"))
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
