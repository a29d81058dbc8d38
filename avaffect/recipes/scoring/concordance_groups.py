"""Scores of traces and numbers by a field, and what chance gives, for `eval-ccc`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from avaffect.core.progress import Progress
from avaffect.data.manifest import Item
from avaffect.evaluation import concordance
from avaffect.recipes.scoring import fields
from avaffect.recipes.scoring.fields import Field
from avaffect.recipes.scoring.reports.traces import GroupAgreement
from avaffect.recipes.scoring.trace_scores import LabelMoments, over_runs

# Scores of a group with fewer say little: recordings have many values, utterances one.
FEW_RECORDINGS, FEW_UTTERANCES = 5, 30

Groups = dict[str, tuple[GroupAgreement, ...]]


def grouped(
    name: str,
    found: Mapping[str, LabelMoments],
    by: Sequence[str],
    items: Iterable[Item],
    files: Sequence[Path],
    few: int,
    biased: bool,
    progress: Progress,
    id_column: str | None = None,
) -> Groups:
    """Field -> the scores of each of its values, over all values of its recordings (or utterances)
    as one trace, means over runs. found: of each label; few: recordings below which a group is
    marked; id_column: of ids in
    tables. Raises DataError for a field that nothing has."""
    ids = list(dict.fromkeys(i for of in found.values() for i in of.ids))
    groups: Groups = {}
    for field in fields.read(by, ids, items, files, id_column):
        parts = {label: _by_value(of, field) for label, of in found.items()}
        counts = Counter(field.value_of[i] for i in ids)
        own = []
        for value in field.values:
            scores = {
                label: over_runs(f"{name}: {label}", of[value], biased).pooled
                for label, of in parts.items()
                if value in of and of[value].counts.any(axis=1).all()
            }
            count = counts[value]
            own.append(GroupAgreement(value=value, count=count, few=count < few, scores=scores))
        groups[field.name] = tuple(own)
        fields.warn_of_groups(name, field, [g.value for g in own if g.few], few, progress)
    return groups


def _by_value(of: LabelMoments, field: Field) -> dict[str, LabelMoments]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, identifier in enumerate(of.ids):
        rows[field.value_of[identifier]].append(row)
    return {
        value: LabelMoments([of.ids[row] for row in own], of.moments[:, own])
        for value, own in rows.items()
    }


def chance(found: Mapping[str, LabelMoments]) -> dict[str, dict[str, float]]:
    """Label -> score -> what a constant gives: CCC and correlation 0, RMSE of the mean of the
    gold. Of all values; where runs differ in them, of the first run."""
    return {
        label: concordance.chance(concordance.pooled(of.moments[0])) for label, of in found.items()
    }
