"""Reports of scores as rows of a comparison: one score a run."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from avaffect.core import filekind, inputs, unchanged
from avaffect.core.errors import DataError, UsageError
from avaffect.core.hashing import file_content_id
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress, followed
from avaffect.core.provenance import of_role
from avaffect.core.record import Record
from avaffect.data import artifacts, manifest
from avaffect.data.manifest import EMPTY_PIPE, STANDARD_STREAM, is_pipe
from avaffect.evaluation import classification, concordance, distributions
from avaffect.recipes.scoring import (
    report_files,
    scalar_scores,
    scored_before,
    utterance_tests,
)
from avaffect.recipes.scoring.class_scores import scored_predictions
from avaffect.recipes.scoring.reports import embeddings
from avaffect.recipes.scoring.reports.base import RunName
from avaffect.recipes.scoring.reports.classes import ClassReport, ClassRun
from avaffect.recipes.scoring.reports.comparison import (
    ClassFacts,
    Facts,
    RankFacts,
    ScalarFacts,
    TraceFacts,
)
from avaffect.recipes.scoring.reports.embeddings import EmbeddingReport
from avaffect.recipes.scoring.reports.ranking import RankReport
from avaffect.recipes.scoring.reports.traces import ConcordanceReport, ScalarReport, TraceReport
from avaffect.recipes.scoring.scored_items import kinds_of
from avaffect.recipes.scoring.utterance_tests import SingleRun
from avaffect.settings.eval_ccc import EvalCccSettings
from avaffect.settings.eval_class import EvalClassSettings
from avaffect.settings.scores import SHARED_DISTANCE

Scored = ClassReport | TraceReport | ScalarReport | RankReport | EmbeddingReport
REPORTS: dict[str, type[Scored]] = {
    "predictions": ClassReport,
    "traces": TraceReport,
    "scalars": ScalarReport,
    "ranking": RankReport,
}
# Characters, many times those of any reports: a pipe may never end.
LARGEST_REPORTS = 1 << 26
# Scores of which chance gives the same in all recordings.
CONSTANT_CHANCE = ("ccc", "pearson")
# For messages: the commands that write reports.
READ = (filekind.REPORT, filekind.JSON, filekind.MANIFESTS["predictions"], filekind.CHECKPOINT)
A_REPORT = "a report is what eval-class, eval-ccc and eval-rank write with -o"


@dataclass(frozen=True)
class Row:
    """One report, or several of one name. runs: their numbers, in order; scores: name -> (runs,)
    float64, NaN where undefined; classes: class -> its F1, likewise; facts: conditions that must
    agree for rows to compare; seen: how many of `count` were used in the classifier's training, by
    status, None where that is not recorded; chance: score -> what chance gives, where it is known;
    alone: the only run of predictions that were read."""

    name: str
    file: Path
    content: str
    runs: tuple[RunName, ...]
    scores: dict[str, np.ndarray]
    classes: dict[str, np.ndarray]
    facts: Facts
    seen: dict[str, int] | None = None
    chance: dict[str, float] = field(default_factory=dict)
    alone: SingleRun | None = None

    @property
    def point(self) -> tuple[str, float | None]:
        """The row's curve and its point there: NAME@NUMBER. None: it is on none."""
        curve, mark, text = self.name.rpartition("@")
        number = _number(text) if mark and curve else None
        return (self.name, None) if number is None else (curve, number)


def read_rows(sources: Sequence[Path], progress: Progress) -> list[Row]:
    """The rows of all sources, [NAME=]FILE each; `-` is standard input. Files that were given the
    same NAME are one row.

    Raises DataError where a file holds no report with runs, UsageError where other names are not
    unique, one is no point of a curve while others are, or files of one row do not score the same.
    """
    together: list[list[Row]] = []
    called: dict[str, list[Row]] = {}
    for source in followed(sources, "read", len(sources), "reports"):
        name, path = _named(source)
        found = list(_reports(path, progress))
        if name is not None and len(found) > 1:
            raise UsageError(
                f"{path} holds {count_of(len(found), 'report')}: one name ({name}) is too few"
            )
        for report, alone in found:
            own = path.stem if len(found) == 1 and path != STANDARD_STREAM else None
            row = _whole_row(name or own or Path(report.file).stem, path, report)
            row = replace(row, alone=alone)
            if name in called:
                called[name].append(row)
            else:
                together.append([row] if name is None else called.setdefault(name, [row]))
    for parts in called.values():
        _check_distinct(parts, progress)
    rows = [parts[0] if len(parts) == 1 else _joined(parts) for parts in together]
    _check_points(rows)
    names = [row.name for row in rows]
    for row in rows:
        if names.count(row.name) > 1:
            raise UsageError(f"two rows have the name {row.name}; name one with NAME={row.file}")
    return rows


def _check_distinct(parts: Sequence[Row], progress: Progress) -> None:
    """Of one name: a run that counts twice makes the deviation too small, and p with it. Raises
    UsageError for a file that is given twice."""
    contents: dict[str, Path] = {}
    for path in (part.file for part in parts if part.file != STANDARD_STREAM):
        other = contents.setdefault(file_content_id(path), path)
        if other is path:
            continue
        if other.resolve() == path.resolve():
            raise UsageError(f"{parts[0].name}: {path} is given twice; each run has its own file")
        progress.warn(
            f"{parts[0].name}: {path} and {other} are the same, byte by byte: as two runs they "
            "make the deviation and p too small"
        )


def _joined(parts: Sequence[Row]) -> Row:
    """Reports of one name as one row, of other partitions, say: run r of the n-th is called n.r.

    Raises UsageError where they do not score the same.
    """
    first = parts[0]
    for part in parts[1:]:
        unlike = unlike_facts(first, part, ("count", "gold"))
        if unlike or part.content != first.content:
            what = unlike[0] if unlike else "what they score"
            raise UsageError(
                f"{first.name}: {first.file} and {part.file} differ in {what}: they are no runs of "
                "one row; give them names of their own"
            )
    runs = tuple(f"{place}.{run}" for place, part in enumerate(parts) for run in part.runs)
    facts: dict[str, Any] = {"count": sum(part.facts.count for part in parts)}
    gold = {item for part in parts for item in getattr(part.facts, "gold", ())}
    if gold:
        facts["gold"] = tuple(sorted(gold))
    known = [part.seen for part in parts if part.seen is not None]
    seen = {
        s: sum(of.get(s, 0) for of in known) for s in dict.fromkeys(s for of in known for s in of)
    }
    return replace(
        first,
        runs=runs,
        scores=_side_by_side([part.scores for part in parts]),
        classes=_side_by_side([part.classes for part in parts]),
        facts=replace(first.facts, **facts),
        seen=seen if known else None,
        chance={
            name: float(np.mean([part.chance[name] for part in parts]))
            for name in first.chance
            if all(name in part.chance for part in parts)
        },
        alone=None,
    )


def _side_by_side(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """What all parts have."""
    names = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def unlike_facts(row: Row, other: Row, aside: Collection[str] = ()) -> list[str]:
    """The conditions in which two rows differ, but for those set aside; of values by label, where
    both have the label."""
    facts, others = row.facts.to_dict(), other.facts.to_dict()
    keys = [key for key in facts if key not in aside]
    return [key for key in keys if key not in others or _differ(facts[key], others[key])]


def _differ(value: Any, other: Any) -> bool:
    if isinstance(value, dict):
        return any(value[label] != other[label] for label in value if label in other)
    return bool(value != other)


def _check_points(rows: Sequence[Row]) -> None:
    """NaN and infinite values have no place on a curve."""
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
    """(role, with the name that was given, path, content id) of a source; None for standard
    input."""
    name, path = _named(source)
    role = "report" if name is None else f"report:{name}"
    return None if path == STANDARD_STREAM else (role, path, file_content_id(path))


def _named(source: Path) -> tuple[str | None, Path]:
    name, equals, path = str(source).partition("=")
    # The path itself may contain `=`.
    return (None, source) if not equals or source.exists() else (name, Path(path))


def _reports(path: Path, progress: Progress) -> Iterator[tuple[Scored, SingleRun | None]]:
    """The JSON objects of a file, one after the other; predictions are scored, and a single run of
    classes stands beside its scores."""
    name = inputs.named(path)
    if artifacts.is_table(path):
        yield _of_classes(path, progress)
        return
    if path != STANDARD_STREAM and filekind.kind_of(path) not in READ:
        raise filekind.other_kind(path, "report")
    if path != STANDARD_STREAM and filekind.kind_of(path) == filekind.CHECKPOINT:
        yield embeddings.read(path), None
        return
    try:
        if path == STANDARD_STREAM:
            text = sys.stdin.read(LARGEST_REPORTS + 1)
        else:
            file_content_id(path)
            text = path.read_text(encoding="utf-8")
            unchanged.check(path)
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: not UTF-8 text; {A_REPORT}") from error
    if len(text) > LARGEST_REPORTS:
        raise DataError(f"{name} has more than {LARGEST_REPORTS >> 20} MiB: no report has")
    if not text.strip():
        piped = path == STANDARD_STREAM and is_pipe(sys.stdin)
        raise DataError(EMPTY_PIPE if piped else f"{name} is empty: {A_REPORT}")
    for line, found in report_files.objects(text, name):
        if isinstance(found, dict) and found.get("kind") == "header":
            if path == STANDARD_STREAM:
                raise DataError("standard input is a manifest: score it with eval-class --json")
            yield _of_predictions(path, progress)
            return
        if not isinstance(found, dict) or found.get("content") not in REPORTS:
            raise DataError(
                f"{name}, line {line}: no report of several runs, as eval-class, eval-ccc and "
                "eval-rank write of predictions"
            )
        report = report_files.typed(name, found, REPORTS)
        yield report, _of_one_run(path, report, progress)


def _of_one_run(path: Path, report: Scored, progress: Progress) -> SingleRun | None:
    """The run of a report of classes, where its predictions are still there."""
    if not isinstance(report, ClassReport) or len(report.runs) > 1:
        return None
    of = scored_before.predictions_of(path, report, progress)
    return None if of is None else utterance_tests.of_classes(of)


def _of_predictions(path: Path, progress: Progress) -> tuple[Scored, SingleRun | None]:
    if set(kinds_of(manifest.header_of(path)).values()) == {scalar_scores.KIND}:
        settings = EvalCccSettings(predictions=(path,))
        return scalar_scores.scored_numbers(path, settings, progress)
    return _of_classes(path, progress)


def _of_classes(path: Path, progress: Progress) -> tuple[Scored, SingleRun | None]:
    report, of = scored_predictions(path, EvalClassSettings(predictions=(path,)), progress)
    return report, utterance_tests.of_classes(of)


def _whole_row(name: str, path: Path, report: Scored) -> Row:
    """`_row`. Raises DataError where the parts of a report do not fit each other."""
    try:
        return _row(name, path, report)
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise DataError(
            f"{path}: its parts do not fit each other ({error!r}); make it again"
        ) from error


def _row(name: str, path: Path, report: Scored) -> Row:
    scores: dict[str, np.ndarray]
    classes: dict[str, np.ndarray] = {}
    facts: Facts
    if isinstance(report, ClassReport):
        scores = _class_scores(report.runs)
        for known in report.per_class:
            classes[known] = _values([run.per_class[known].f1 for run in report.runs])
        facts = ClassFacts.from_dict(_some(report, ClassFacts))
    elif isinstance(report, RankReport):
        scores = {
            f"{label}.map": _values([run.map[label] for run in report.runs])
            for label in report.labels
        }
        facts = RankFacts.from_dict(_some(report, RankFacts))
    elif isinstance(report, EmbeddingReport):
        scores = {
            name: _values([run.scores.get(name) for run in report.runs])
            for name in report.runs[0].scores
        }
        facts = ClassFacts.from_dict(_some(report, ClassFacts))
    else:
        scores = _trace_scores(report)
        kind = TraceFacts if isinstance(report, TraceReport) else ScalarFacts
        # Earlier reports name their gold among the inputs alone.
        gold = [entry["content_id"] for entry in of_role(report.provenance, "gold")]
        report = replace(report, gold=report.gold or tuple(sorted(gold)))
        facts = kind.from_dict(_some(report, kind))
    numbers = tuple(run.run for run in report.runs)
    row = Row(name, path, report.content, numbers, scores, classes, facts, report.seen)
    return replace(row, chance=_chance(report))


def _chance(report: Scored) -> dict[str, float]:
    """Score -> what chance gives; of reports of earlier versions, too."""
    if isinstance(report, ClassReport):
        support = [known.support or 0 for known in report.per_class.values()]
        return classification.chance(support) if sum(support) else {}
    if isinstance(report, RankReport):
        return {f"{label}.map": value for label, value in report.chance.items()}
    if isinstance(report, EmbeddingReport):
        return {}
    found = {}
    for label, of in (report.chance or {}).items():
        for score, value in of.items():
            found[f"{label}.{score}"] = value
            # Of each recording the mean of its own gold is another constant.
            if score in CONSTANT_CHANCE:
                found[f"{label}.{score}_mean"] = value
    return found


def _some(report: Scored, kind: type[Record]) -> dict[str, Any]:
    """The fields of `kind` from a report."""
    whole = report.to_dict()
    return {item.name: whole[item.name] for item in fields(kind) if item.name in whole}


def _class_scores(runs: Sequence[ClassRun]) -> dict[str, np.ndarray]:
    names = [
        *classification.SCORES,
        *(
            name
            for name in (*distributions.SCORES, SHARED_DISTANCE)
            if runs and getattr(runs[0], name) is not None
        ),
    ]
    return {name: _values([getattr(run, name) for run in runs]) for name in names}


def _trace_scores(report: ConcordanceReport) -> dict[str, np.ndarray]:
    """label.score of all values, label.score_mean of recordings; and the distance of shared
    embeddings, where predictions have it."""
    if not report.runs:
        return {}
    found = {
        f"{label}.{name}{end}": _values(
            [getattr(getattr(run, way)[label], name) for run in report.runs]
        )
        for label in report.runs[0].pooled
        for way, end in (("pooled", ""), ("mean", "_mean"))
        if way in report.ways
        for name in concordance.SCORES
    }
    if report.runs[0].shared_distance is not None:
        found[SHARED_DISTANCE] = _values([run.shared_distance for run in report.runs])
    return found


def _values(found: list[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in found], dtype=np.float64)
