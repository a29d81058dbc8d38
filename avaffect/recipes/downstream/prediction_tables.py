"""Predictions as tables: for people, and as CSV for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from avaffect.core.table import Style, Table

if TYPE_CHECKING:
    from avaffect.recipes.downstream.prediction_items import Predicted

# Columns that tables have where items differ in them.
_SOMETIMES = (
    "recording", "start", "end", "gold", "target", "modality", "shared_distance", "fold",
    "run",
)  # fmt: skip
HEADINGS = {"media": "recording", "recording": "part of", "target": "label"}


def table(found: Predicted, style: Style) -> Table:
    """A row an item; a column of scores for each class, in the order of the classifier."""
    columns, rows = _cells(found, ["id"] if style.for_people else ["id", "media"], style)
    return Table.of("Predictions", style.headings(columns, HEADINGS), rows)


def csv_text(found: Predicted) -> str:
    """The same as CSV, with the recordings' paths."""
    columns, rows = _cells(found, ["id", "media"], Style(for_people=False))
    return Table.of("Predictions", columns, rows).csv()


def _cells(
    found: Predicted, first: Sequence[str], style: Style
) -> tuple[list[str], list[list[str]]]:
    items = found.items
    classes: dict[str, None] = {}
    for label in (found.header.targets or {}).values():
        classes |= dict.fromkeys(label.classes or ())
    there = {name: [item.get(name) for item in items] for name in _SOMETIMES}
    apart = ("target", "fold", "run")
    shown = [
        name
        for name, values in there.items()
        if (len(set(values)) > 1 if name in apart else any(v is not None for v in values))
    ]
    columns = [*first, *shown, "prediction"]
    rows = [
        [
            *(_cell(item.get(name), style) for name in columns),
            *(_cell((item.get("scores") or {}).get(name), style) for name in classes),
        ]
        for item in items
    ]
    return [*columns, *classes], rows


def _cell(value: Any, style: Style) -> str:
    if isinstance(value, float):
        return style.number(value)
    return "" if value is None else str(value)
