"""Files of reports: JSON objects, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from avaffect.core import plain_json, unchanged
from avaffect.core.errors import DataError
from avaffect.recipes.scoring.reports.base import Report
from avaffect.recipes.scoring.reports.classes import ClassReport, RetrievalReport
from avaffect.recipes.scoring.reports.comparison import Comparison
from avaffect.recipes.scoring.reports.exploration import ExplorationReport
from avaffect.recipes.scoring.reports.ranking import RankReport
from avaffect.recipes.scoring.reports.traces import ScalarReport, TraceReport
from avaffect.recipes.scoring.reports.vectors import VectorReport

R = TypeVar("R", bound=Report)

# Content -> the class of its reports.
KINDS: dict[str, type[Report]] = {
    "predictions": ClassReport,
    "retrieval": RetrievalReport,
    "traces": TraceReport,
    "scalars": ScalarReport,
    "ranking": RankReport,
    "vectors": VectorReport,
    "comparison": Comparison,
    "exploration": ExplorationReport,
}


def objects(text: str, name: str) -> Iterator[tuple[int, Any]]:
    """The JSON values of a text with the line where each begins. name: of the file, for errors.

    Raises DataError where one is no JSON, or is cut short.
    """
    try:
        for place, found in plain_json.values(text):
            yield _line(text, place), found
    except plain_json.Misplaced as error:
        line = _line(text, error.place)
        raise DataError(
            f"{name}, line {line}: no JSON object begins here, or it is cut short ({error})"
        ) from error


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def typed(name: str, found: dict[str, Any], kinds: Mapping[str, type[R]]) -> R:
    """A report as it was read, of the class of its content. Raises DataError, naming the key, where
    one is missing or of another type."""
    try:
        return kinds[found["content"]].from_dict(found)
    except DataError as error:
        raise DataError(
            f"{name}: this report is not whole: {error}; make it again with eval-class or eval-ccc"
        ) from error


def read(path: Path) -> list[Report]:
    """The reports of any content in a file. Raises DataError where there is none, or another
    value."""
    try:
        text = path.read_text(encoding="utf-8")
        unchanged.check(path)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text, and a report is needed") from error
    found = []
    for line, value in objects(text, str(path)):
        if not isinstance(value, dict) or value.get("content") not in KINDS:
            raise DataError(f"{path}, line {line}: no report of scores")
        found.append(typed(str(path), value, KINDS))
    return found
