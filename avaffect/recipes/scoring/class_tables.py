"""Predicted and gold classes in tables of other programs."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from avaffect.core.errors import DataError
from avaffect.data import manifest
from avaffect.data.manifest import Item
from avaffect.data.tables.numerals import is_missing
from avaffect.data.tables.reader import Table, plain_name, read_table
from avaffect.recipes.scoring import table_columns
from avaffect.recipes.scoring.gold_names import Names
from avaffect.recipes.scoring.table_columns import (
    PREDICTED_NAMES,
    PREDICTED_WORDS,
    TRUE_NAMES,
    TRUE_WORDS,
    TablePredictions,
)
from avaffect.recipes.scoring.vote_scores import Gold, Votes


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
        predicted = table_columns.named_column(table, label)
    else:
        names = [*PREDICTED_NAMES, *table_columns.with_label(PREDICTED_WORDS, wanted)]
        also = wanted if has_gold and wanted in table.names else None
        known = table_columns.column_of(table, names) or also
        if known is None:
            raise table_columns.lacking(table, "predictions, called prediction, predicted or pred")
        predicted = known
    true = None if has_gold else _true(table, other or label, default, predicted)
    items = _items(table, predicted, true, fields)
    if probabilities:
        _add_probabilities(table, items)
    header = manifest.new_header("predictions", target=other or label or default)
    return table_columns.with_ids(header, table, ids, [items], has_gold)


def _items(table: Table, predicted: str, true: str | None, fields: Sequence[str]) -> list[Item]:
    """The values of the rows, without their ids."""
    items = table_columns.rows(table, fields)
    texts = table.column(predicted)
    gold_texts = [""] * len(items) if true is None else table.column(true)
    for (line, _), item, text, known in zip(table.rows, items, texts, gold_texts, strict=True):
        if is_missing(text):
            raise table_columns.unpredicted(table, line, predicted, "class")
        item["prediction"] = _class(text)
        if not is_missing(known):
            item["gold"] = _class(known)
    return items


def _add_probabilities(table: Table, items: list[Item]) -> None:
    """Raises DataError where no class has a column, or one that is predicted has none."""
    classes = {name for item in items for name in (item["prediction"], item.get("gold")) if name}
    columns = {
        name: column
        for name in classes
        if (column := table_columns.column_of(table, (plain_name(name),)))
    }
    lacking = sorted({item["prediction"] for item in items} - columns.keys())
    if lacking:
        raise table_columns.lacking(table, f"probabilities of {lacking[0]}, called as the class")
    values = {name: table_columns.numbers_in(table, column) for name, column in columns.items()}
    for name, of in values.items():
        if of is None:
            raise DataError(f"{table.path}: the column {columns[name]!r} holds no probabilities")
    for place, item in enumerate(items):
        of_row = {name: of[place] for name, of in values.items() if of is not None}
        if not any(math.isnan(value) for value in of_row.values()):
            item["scores"] = of_row


def gold(
    path: Path, label: str | None, default: str, ids: str | None
) -> tuple[Gold, Names[str | Votes | None]]:
    """Id -> gold class, None where it is missing; and further names of the same rows.

    label: its column; None: one with the name `default`, or a usual name of gold classes; ids: the
    column of ids, where the table has it.
    """
    table = read_table(path)
    ids = ids if ids in table.names else None
    column = _true(table, label, default)
    classes: list[str | Votes | None] = [
        None if is_missing(text) else _class(text) for text in table.column(column)
    ]
    return table_columns.by_names(table, ids, classes)


def _true(table: Table, label: str | None, default: str, predicted: str | None = None) -> str:
    """The column of gold classes, which is not that of predictions: the named one, else one with
    the label's name, else one with a usual name."""
    if label not in (None, predicted):
        return table_columns.named_column(table, label)
    own = table_columns.with_label(TRUE_WORDS, default)
    found = table_columns.column_of(table, [plain_name(default), *TRUE_NAMES, *own])
    if found in (None, predicted):
        raise table_columns.lacking(table, f"gold classes, called {default}, gold or true")
    return found


def _class(text: str) -> str:
    """A class; numbers that are equal are the same class: 1.0 and 1."""
    return re.sub(r"^(-?\d+)\.0+$", r"\1", text)
