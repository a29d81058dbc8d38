"""Reports of scores as rows of a comparison: one score a run."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avaffect.core import filekind
from avaffect.core.errors import DataError, UsageError
from avaffect.core.hashing import file_content_id
from avaffect.core.progress import Progress
from avaffect.core.provenance import of_role
from avaffect.data.manifest import EMPTY_PIPE, STANDARD_STREAM, is_pipe
from avaffect.evaluation import classification, concordance, distributions
from avaffect.recipes.common.reports import Report
from avaffect.recipes.scoring import scalar_scores
from avaffect.recipes.scoring.class_scores import report_of
from avaffect.recipes.scoring.scored_items import kinds_of
from avaffect.settings.eval_ccc import EvalCccSettings
from avaffect.settings.eval_class import EvalClassSettings

CONTENTS = ("predictions", "traces", "scalars")
# What a report, or what it is made of, looks like.
READ = (filekind.JSON, filekind.MANIFESTS["predictions"])
A_REPORT = "a report is what eval-class and eval-ccc write with -o"
# What must agree for scores to compare; gold: content ids; gold_labels: of each label.
CLASS_FACTS = ("target", "split", "count")
SCALAR_FACTS = ("gold", "gold_labels", "variant", "split", "count")
TRACE_FACTS = ("gold", "gold_labels", "raters", "rate_hz", "variant", "delay", "split", "count")

FACTS = {"predictions": CLASS_FACTS, "traces": TRACE_FACTS, "scalars": SCALAR_FACTS}


@dataclass(frozen=True)
class Row:
    """One report. runs: their numbers, in order; scores: name -> (runs,) float64, NaN where
    undefined; classes: class -> its F1, likewise; facts: what must agree for rows to compare; seen:
    how many of `count` the classifier has learned from, None where nobody says."""

    name: str
    file: Path
    content: str
    runs: tuple[Any, ...]
    scores: dict[str, np.ndarray]
    classes: dict[str, np.ndarray]
    facts: dict[str, Any]
    seen: dict[str, int] | None = None

    @property
    def point(self) -> tuple[str, float | None]:
        """The curve that the row is a point of, and where: NAME@NUMBER. None: it is on none."""
        curve, mark, text = self.name.rpartition("@")
        number = _number(text) if mark and curve else None
        return (self.name, None) if number is None else (curve, number)


def read_rows(sources: Sequence[Path], progress: Progress) -> list[Row]:
    """The rows of all sources, [NAME=]FILE each; `-` is standard input.

    Raises DataError where a file holds no report with runs, UsageError where names are not unique,
    or one is no point of a curve as the others are.
    """
    rows: list[Row] = []
    for source in sources:
        name, path = _named(source)
        found = list(_reports(path, progress))
        if name is not None and len(found) > 1:
            raise UsageError(f"{path} holds {len(found)} reports: one name ({name}) is too few")
        for report in found:
            own = path.stem if len(found) == 1 and path != STANDARD_STREAM else None
            rows.append(_row(name or own or Path(str(report.get("file"))).stem, path, report))
    _check_points(rows)
    names = [row.name for row in rows]
    for row in rows:
        if names.count(row.name) > 1:
            raise UsageError(
                f"two rows are called {row.name}; tell them apart with NAME={row.file}"
            )
    return rows


def _check_points(rows: Sequence[Row]) -> None:
    """A number that is none, or not finite, has no place on a curve."""
    on_curve = any(row.point[1] is not None for row in rows)
    for row in rows:
        curve, mark, text = row.name.rpartition("@")
        wrong = on_curve and mark and curve and row.point[1] is None
        if wrong or not math.isfinite(row.point[1] or 0.0):
            raise UsageError(f"{row.name}: {text!r} is no finite number, and points of curves are "
                             "called NAME@NUMBER")  # fmt: skip


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def identity_of(source: Path) -> tuple[str, Path, str] | None:
    """(role, path, content id) of a source; None for standard input."""
    path = _named(source)[1]
    return None if path == STANDARD_STREAM else ("report", path, file_content_id(path))


def _named(source: Path) -> tuple[str | None, Path]:
    name, equals, path = str(source).partition("=")
    # A path may hold the sign itself.
    return (None, source) if not equals or source.exists() else (name, Path(path))


def _reports(path: Path, progress: Progress) -> Iterator[Report]:
    """The JSON objects of a file, one after the other; predictions are scored."""
    name = "standard input" if path == STANDARD_STREAM else str(path)
    if path != STANDARD_STREAM and filekind.kind_of(path) not in READ:
        raise filekind.other_kind(path, "report")
    try:
        text = sys.stdin.read() if path == STANDARD_STREAM else path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: not UTF-8 text; {A_REPORT}") from error
    if not text.strip():
        piped = path == STANDARD_STREAM and is_pipe(sys.stdin)
        raise DataError(EMPTY_PIPE if piped else f"{name} is empty: {A_REPORT}")
    place = 0
    while rest := text[place:].lstrip():
        place = len(text) - len(rest)
        line = text.count("\n", 0, place) + 1
        try:
            found, place = json.JSONDecoder().raw_decode(text, place)
        except ValueError as error:
            raise DataError(f"{name}, line {line}: no JSON object begins here, or it is cut short "
                            f"({error})") from error  # fmt: skip
        if isinstance(found, dict) and found.get("kind") == "header":
            if path == STANDARD_STREAM:
                raise DataError("standard input is a manifest: score it with eval-class --json")
            if set(kinds_of(found).values()) == {scalar_scores.KIND}:
                yield scalar_scores.report_of(path, EvalCccSettings(predictions=(path,)), progress)
            else:
                yield report_of(path, EvalClassSettings(predictions=(path,)), progress)
            return
        if not isinstance(found, dict) or found.get("content") not in CONTENTS:
            raise DataError(
                f"{name}, line {line}: no report of several runs, as eval-class and eval-ccc write "
                "of predictions"
            )
        yield found


def _row(name: str, path: Path, report: Report) -> Row:
    try:
        runs = report["runs"]
        of_class = report["content"] == "predictions"
        scores = _class_scores(runs) if of_class else _trace_scores(runs)
        classes = {
            known: _values([run["per_class"][known]["f1"] for run in runs])
            for known in (report["per_class"] if of_class else ())
        }
        if not of_class:
            # Earlier reports name their gold among the inputs alone.
            gold = sorted(entry["content_id"] for entry in of_role(report["provenance"], "gold"))
            report = {"gold": gold, "gold_labels": {}, **report}
        facts = {key: report[key] for key in FACTS[report["content"]]}
        numbers = tuple(run["run"] for run in runs)
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: this report has no {error}; make it again with eval-class or "
                        "eval-ccc") from error  # fmt: skip
    # Reports of earlier versions do not know.
    seen = report.get("seen")
    return Row(name, path, report["content"], numbers, scores, classes, facts, seen)


def _class_scores(runs: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    first = next(iter(runs), {})
    names = [*classification.SCORES, *(n for n in distributions.SCORES if n in first)]
    return {name: _values([run[name] for run in runs]) for name in names}


def _trace_scores(runs: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """label.score of all values, label.score_mean of recordings."""
    first = next(iter(runs), {})
    return {
        f"{label}.{name}{end}": _values([run[way][label][name] for run in runs])
        for label in first["pooled"]
        for way, end in (("pooled", ""), ("mean", "_mean"))
        if way in first
        for name in concordance.SCORES
    }


def _values(found: list[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in found], dtype=np.float64)
