"""Predicted and gold numbers of utterances in tables of other programs: a column per label."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from avaffect.core.errors import DataError
from avaffect.data import artifacts, manifest
from avaffect.data.manifest import Item
from avaffect.data.tables.numerals import is_missing
from avaffect.data.tables.reader import Table, plain_name, read_table
from avaffect.data.trace_files import TIME_NAMES
from avaffect.recipes.scoring import table_columns
from avaffect.recipes.scoring.gold_names import Names
from avaffect.recipes.scoring.matching import IDENTITIES
from avaffect.recipes.scoring.table_columns import (
    ID_NAMES,
    PREDICTED_NAMES,
    PREDICTED_WORDS,
    SPLIT_NAMES,
    TRUE_NAMES,
    TRUE_WORDS,
    TablePredictions,
)

KIND = "scalar"
# Numbers of an utterance that are no labels of it.
NO_LABELS = {
    *ID_NAMES, *SPLIT_NAMES, *IDENTITIES, "", "start", "end", "duration", "durations", "age",
    "index", "row", "frames",
}  # fmt: skip
# Longer words first: predicted before pred.
_WORDS = "|".join(sorted((*PREDICTED_WORDS, *TRUE_WORDS), key=len, reverse=True))
_AFFIX = re.compile(rf"^({_WORDS})[\W_]*|[\W_]*({_WORDS})s?$", re.IGNORECASE)

Values = dict[str, float | None]


@dataclass(frozen=True)
class Side:
    """A label in a table: its name in the gold, its column of predictions, and that of gold values
    in the same table (None: these are elsewhere)."""

    label: str
    predicted: str
    true: str | None


def is_of_utterances(path: Path, ids: str | None, has_gold: bool) -> bool:
    """Whether a file is a table with a row for each utterance, and not one of a trace, which has
    times. Its rows have ids, or both sides."""
    if not artifacts.is_table(path):
        return False
    names = {plain_name(name) for name in read_table(path, blanks=True).names}
    return names.isdisjoint(TIME_NAMES) and (
        ids is not None or not has_gold or not names.isdisjoint(ID_NAMES)
    )


def predictions(
    path: Path,
    labels: Mapping[str, str],
    known: Collection[str] | None,
    ids: str | None,
    fields: Sequence[str],
) -> TablePredictions:
    """Predicted numbers of each row, and gold ones where `known` is None. The labels have their
    names in the gold.

    labels: of --label, the name or column in the predictions -> name in the gold; empty: all that
    both sides have; known: labels of the gold in another file; ids: the column of ids; fields:
    further ones, where the table has columns of these names.

    Raises DataError where no column is of predictions, or of gold values without other gold, a row
    has no prediction, or a text is no number.
    """
    table = read_table(path, [name for name in (ids,) if name])
    has_gold = known is not None
    if labels:
        sides = [_chosen(table, name, labels, has_gold) for name in labels]
    else:
        sides = _both(table) if known is None else _in_gold(table, known)
    rows = table_columns.rows(table, fields)
    columns = [name for side in sides for name in (side.predicted, side.true) if name is not None]
    written = table.numbers(columns)
    made = [
        _items(table, rows, side, {name: written.of(table.column(name)) for name in columns})
        for side in sides
    ]
    targets = {side.label: {"kind": KIND} for side in sides}
    header = manifest.new_header("predictions", targets=targets)
    return table_columns.with_ids(header, table, ids, made, has_gold)


def labels_in(path: Path) -> list[str]:
    """Columns that may be labels: those of numbers."""
    table = read_table(path)
    return [name for name in table.names if _is_label(table, name)]


def gold(path: Path, label: str, ids: str | None) -> tuple[Values, Names[float | None]]:
    """Id -> gold value, None where it is missing; and further names of the same rows.

    label: its column, but for true or gold beside it; ids: the column of ids, where the table has
    it. Raises DataError where there is no such column, or a text in it is no number.
    """
    table = read_table(path)
    column = label if label in table.names else _true(table, label, None)
    found = _numbers(table, column or table_columns.named_column(table, label))
    values = [None if math.isnan(value) else value for value in found]
    return table_columns.by_names(table, ids if ids in table.names else None, values)


def _items(
    table: Table, rows: Sequence[Item], side: Side, numbers: Mapping[str, Sequence[float | None]]
) -> list[Item]:
    predicted = _checked(table, side.predicted, numbers[side.predicted])
    unknown = [math.nan] * len(rows)
    true = unknown if side.true is None else _checked(table, side.true, numbers[side.true])
    items = []
    for (line, _), row, value, known in zip(table.rows, rows, predicted, true, strict=True):
        if math.isnan(value):
            raise table_columns.unpredicted(table, line, side.predicted, "number")
        item = {**row, "target": side.label, "prediction": value}
        items.append(item if math.isnan(known) else {**item, "gold": known})
    return items


def _chosen(table: Table, name: str, labels: Mapping[str, str], has_gold: bool) -> Side:
    """The columns of one label of --label."""
    other = labels[name]
    if other != name:
        true = None if has_gold else table_columns.named_column(table, other)
        return Side(other, table_columns.named_column(table, name), true)
    predicted = _predicted(table, name, usual=len(labels) == 1)
    if predicted is None:
        predicted = table_columns.named_column(table, name)
    true = None if has_gold else _true(table, name, predicted)
    if true is None and not has_gold:
        raise table_columns.lacking(table, f"gold values of {name}, called {name}, gold or true")
    return Side(name, predicted, true)


def _both(table: Table) -> list[Side]:
    """The labels whose predictions and gold values are both in a table."""
    found: dict[str, Side] = {}
    for predicted in table.names:
        label = _AFFIX.sub("", predicted)
        if plain_name(predicted) in table_columns.with_label(PREDICTED_WORDS, label) and label:
            true = _true(table, label, predicted, usual=False)
            if true is not None:
                found.setdefault(plain_name(label), Side(label, predicted, true))
    usual = table_columns.column_of(table, PREDICTED_NAMES)
    if not found and usual is not None:
        true = table_columns.column_of(table, TRUE_NAMES)
        if true is not None:
            return [Side(true, usual, true)]
        raise table_columns.lacking(table, "gold values, called gold or true")
    if not found:
        raise table_columns.lacking(
            table, "predicted and gold values, such as pred_arousal and arousal"
        )
    return list(found.values())


def _in_gold(table: Table, known: Collection[str]) -> list[Side]:
    """The labels of the gold that a table has."""
    found = []
    for label in known:
        bare = _AFFIX.sub("", label) or label
        predicted = _predicted(table, bare, usual=len(known) == 1)
        if predicted is None and plain_name(label) not in NO_LABELS:
            predicted = table_columns.column_of(table, [plain_name(label), plain_name(bare)])
        if predicted is not None:
            found.append(Side(label, predicted, None))
    if not found:
        have = ", ".join(known) or "none"
        raise table_columns.lacking(table, f"a label of numbers that the gold has ({have})")
    return found


def _predicted(table: Table, label: str, usual: bool) -> str | None:
    """usual: whether names such as prediction mean this label."""
    own = table_columns.with_label(PREDICTED_WORDS, label)
    return table_columns.column_of(table, [*own, *(PREDICTED_NAMES if usual else ())])


def _true(table: Table, label: str, predicted: str | None, usual: bool = True) -> str | None:
    """The column of gold values of a label, which is not that of predictions."""
    own = [plain_name(label), *table_columns.with_label(TRUE_WORDS, label)]
    names = [*own, *(TRUE_NAMES if usual else ())]
    found = (table_columns.column_of(table, [name]) for name in names)
    return next((name for name in found if name is not None and name != predicted), None)


def _is_label(table: Table, column: str) -> bool:
    """Whether most of what a column has are numbers, rather than texts."""
    if plain_name(column) in NO_LABELS:
        return False
    known = [text for text in table.column(column) if not is_missing(text)]
    numbers = [value for value in table.numbers([column]).of(known) if value is not None]
    return len(numbers) > len(known) / 2


def _numbers(table: Table, column: str) -> list[float]:
    return _checked(table, column, table.numbers([column]).of(table.column(column)))


def _checked(table: Table, column: str, values: Sequence[float | None]) -> list[float]:
    """Raises DataError for a text that is no number."""
    for (line, _), text, value in zip(table.rows, table.column(column), values, strict=True):
        if value is None:
            raise DataError(
                f"{table.path}, line {line}: {column} is {text!r}, which is no number, or ambiguous"
            )
    return [value for value in values if value is not None]
