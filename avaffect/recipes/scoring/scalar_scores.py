"""Scores of predicted scalars, one per utterance: one report per file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from avaffect.core import filekind
from avaffect.core.errors import DataError
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.data import artifacts, manifest
from avaffect.data.manifest import Item, Manifest
from avaffect.recipes.common import work
from avaffect.recipes.downstream import training_speakers
from avaffect.recipes.scoring import (
    concordance_groups,
    confidence,
    fields,
    gold_names,
    number_gold,
    number_tables,
    table_columns,
    utterance_tests,
)
from avaffect.recipes.scoring.class_pairs import SPEAKER, UTTERANCES, Units, units_of
from avaffect.recipes.scoring.concordance_groups import FEW_UTTERANCES, Groups
from avaffect.recipes.scoring.matching import parse_labels
from avaffect.recipes.scoring.number_tables import KIND, Values
from avaffect.recipes.scoring.reports.base import RunName
from avaffect.recipes.scoring.reports.traces import Ends, Interval, ScalarReport, Spread, TraceRun
from avaffect.recipes.scoring.scored_items import (
    kinds_of,
    of_label,
    of_split,
    shared_distances,
    training_statuses,
)
from avaffect.recipes.scoring.trace_scores import (
    LEVEL,
    LabelMoments,
    LabelScores,
    intervals,
    over_runs,
)
from avaffect.recipes.scoring.utterance_tests import SingleRunOfNumbers
from avaffect.settings.eval_ccc import EvalCccSettings

# All utterances as one sample.
WAY = "pooled"


def is_of_scalars(path: Path, settings: EvalCccSettings) -> bool:
    """Whether a source holds predictions of utterances; standard input does without --gold, which
    traces require."""
    if path == manifest.STANDARD_STREAM:
        return not settings.gold
    if number_tables.is_of_utterances(path, settings.id_column, bool(settings.gold)):
        return True
    return not path.is_dir() and filekind.kind_of(path) == filekind.MANIFESTS["predictions"]


def report_of(path: Path, settings: EvalCccSettings, progress: Progress) -> ScalarReport:
    """CCC, Pearson, RMSE and MAE over utterances; see avaffect-eval-ccc(1). Raises as `scored`."""
    return scored_numbers(path, settings, progress)[0]


def scored_numbers(
    path: Path, settings: EvalCccSettings, progress: Progress
) -> tuple[ScalarReport, SingleRunOfNumbers | None]:
    """The scores, and what they are of, where that is one run.

    Raises DataError where no prediction is a number, an utterance is predicted twice in a run, or
    no utterance has a gold value.
    """
    found, names = _read(path, settings)
    gold = None
    if settings.gold:
        gold = {
            other: number_gold.read(settings.gold, other, settings.id_column)
            for other in names.values()
        }
        found = table_columns.matched(found, {i for values in gold.values() for i in values},
                                      progress)  # fmt: skip
    given = [] if found.path is None else [("predictions", found.path, found.content_id)]
    golds = gold_names.inputs(settings.gold)
    biased = not settings.unbiased
    scores: dict[str, LabelScores] = {}
    every: dict[str, LabelMoments] = {}
    missing: dict[str, int] = {}
    scored: set[str] = set()
    runs: list[RunName] = []
    for label, other in names.items():
        of = of_label(found, label, (KIND,))
        items, split = of_split(of, settings.split)
        moments, runs, without = _moments(of, items, None if gold is None else gold[other])
        scored |= set(moments.ids)
        missing[label] = without
        every[label] = moments
        scores[label] = over_runs(f"{found.name}: {label}", moments, biased)
    of_names = [item for item in found.items if item.get("target") in names]
    learned = training_statuses(found, of_names, scored)
    distances = shared_distances([i for i in of_names if i["id"] in scored])
    _say(found.name, len(scored), learned, missing, progress)
    if gold is not None:
        most = max(gold.values(), key=lambda values: values.labelled)
        gold_names.say_unscored(found.name, most, len(scored), progress)
    report = ScalarReport(
        file=str(path),
        labels=tuple(scores),
        split=split,
        variant="biased" if biased else "unbiased",
        pooled={label: of.pooled for label, of in scores.items()},
        std=Spread(pooled={label: of.std[WAY] for label, of in scores.items()}),
        count=len(scored),
        missing_gold=missing,
        seen=learned,
        runs=_runs(runs, scores, distances),
        interval=_interval(found.name, every, of_names, settings, progress),
        gold=tuple(sorted(identity for _, _, identity in golds)),
        gold_labels=names,
        chance=concordance_groups.chance(every),
        groups=_groups(found, every, settings, progress),
        provenance=work.record("eval-ccc", settings, [*given, *golds]),
    )
    return report, utterance_tests.of_numbers(found.name, runs, every, of_names)


def _read(path: Path, settings: EvalCccSettings) -> tuple[Manifest, dict[str, str]]:
    """Predictions, and their labels with the names of these in the gold."""
    labels = parse_labels(settings.label)
    if artifacts.is_table(path):
        known = number_gold.labels_in(settings.gold) if settings.gold else None
        fields = (SPEAKER, *settings.by)
        table = number_tables.predictions(path, labels, known, settings.id_column, fields)
        return table, {name: name for name in kinds_of(table.header)}
    found = manifest.read(path, expect="predictions")
    own = [name for name, kind in kinds_of(found.header).items() if kind == KIND]
    names = labels or {name: name for name in own}
    if not names:
        # Names of the label's kind.
        of_label(found, None, (KIND,))
        raise DataError(f"{found.name}: no prediction is a number; score classes with eval-class")
    return found, names


def _groups(
    found: Manifest, moments: Mapping[str, LabelMoments], settings: EvalCccSettings,
    progress: Progress,
) -> Groups | None:  # fmt: skip
    if not settings.by:
        return None
    files = [*settings.gold, *fields.behind(found, progress)]
    return concordance_groups.grouped(
        found.name, moments, settings.by, found.items, files, FEW_UTTERANCES,
        not settings.unbiased, progress, settings.id_column,
    )  # fmt: skip


def _interval(
    name: str, moments: Mapping[str, LabelMoments], items: list[Item], settings: EvalCccSettings,
    progress: Progress,
) -> Interval | None:  # fmt: skip
    """Over speakers where predictions name them, else over utterances, with a warning where it is
    too narrow. None without --bootstrap. Raises DataError of fewer than two."""
    if not settings.bootstrap:
        return None
    ranges: dict[str, Ends] = {}
    units = {label: _drawn(of.ids, items) for label, of in moments.items()}
    for label, of in moments.items():
        if units[label].count < 2:
            raise DataError(
                f"{name}: --bootstrap draws utterances anew, and {label} is of one alone"
            )
        drawn = intervals(
            of, settings.bootstrap, settings.seed, not settings.unbiased, units[label]
        )
        ranges[label] = drawn[WAY]
    fewest = min(units.values(), key=lambda of: of.count)
    if units_of(fewest.place, items).count == 1:
        progress.warn(
            f"{name}: its utterances are of one speaker, and the intervals say nothing of others"
        )
    else:
        confidence.warn_of_units(name, fewest, progress)
    return Interval(
        level=LEVEL, draws=settings.bootstrap, over=fewest.over, units=fewest.count, pooled=ranges
    )


def _drawn(ids: list[str], items: list[Item]) -> Units:
    """Speakers, or utterances where items do not name them or all are of one."""
    found = units_of(ids, items)
    return (
        found if found.count > 1 else Units(UTTERANCES, len(ids), dict(zip(ids, range(len(ids)))))
    )


def _runs(
    runs: list[RunName], scores: dict[str, LabelScores], distances: Mapping[RunName, float]
) -> tuple[TraceRun, ...]:
    return tuple(
        TraceRun(
            run=run,
            pooled={label: of.runs[place].pooled for label, of in scores.items()},
            shared_distance=distances.get(run),
        )
        for place, run in enumerate(runs)
    )


def _say(
    name: str, count: int, learned: dict[str, int] | None, missing: dict[str, int],
    progress: Progress,
) -> None:  # fmt: skip
    """How many are scored, and a warning where training used them."""
    warning = training_speakers.warning(learned, count)
    if warning is not None:
        progress.warn(f"{name}: {warning}")
    left_out = (
        f"; {max(missing.values())} left out, without a gold value" if any(missing.values()) else ""
    )
    progress.say(f"{name}: {count_of(count, 'utterance')}{left_out}")


def _moments(
    found: Manifest, items: list[Item], gold: Values | None
) -> tuple[LabelMoments, list[RunName], int]:
    """Moments of each utterance by itself, the numbers of the runs, and the number of utterances
    without a gold value."""
    pairs: dict[RunName, dict[str, tuple[float, float]]] = {}
    missing: set[str] = set()
    for item in items:
        identifier, run = item["id"], item.get("run", 0)
        true = item.get("gold") if gold is None else gold.get(identifier)
        predicted = item.get("prediction")
        if not isinstance(predicted, (int, float)):
            raise DataError(f"{found.name}: the prediction of {identifier} is no number")
        if true is None:
            missing.add(identifier)
            continue
        if identifier in pairs.setdefault(run, {}):
            raise DataError(f"{found.name}: {identifier} is predicted twice in run {run}")
        pairs[run][identifier] = float(predicted), float(true)
    ids = list(dict.fromkeys(i for of in pairs.values() for i in of))
    if not ids:
        raise DataError(
            f"{found.name}: none of its {count_of(len(items), 'prediction')} has a gold value to "
            "be scored by; name a store, a corpus manifest or a table with --gold"
        )
    runs = sorted(pairs)
    moments = np.zeros((len(runs), len(ids), 8))
    for place, run in enumerate(runs):
        for row, identifier in enumerate(ids):
            if identifier in pairs[run]:
                x, y = pairs[run][identifier]
                moments[place, row] = 1, x, y, 0, 0, 0, abs(x - y), (x - y) ** 2
    return LabelMoments(ids, moments), runs, len(missing)
