"""Scores of traces and numbers by a field, and what chance gives, for `eval-ccc`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from avaffect.core.progress import Progress
from avaffect.data.manifest import Item
from avaffect.evaluation import concordance
from avaffect.recipes.scoring import fields
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
) -> Groups:
    """Field -> the scores of each of its values, over all values of its recordings (or utterances)
    as one trace, means over runs. found: of each label; few: recordings below which a group is
    marked. Raises DataError for a field that nothing has."""
    ids = list(dict.fromkeys(i for of in found.values() for i in of.ids))
    groups: Groups = {}
    for field in fields.read(by, ids, items, files):
        own = []
        for value in field.values:
            chosen = {i for i in ids if field.value_of[i] == value}
            parts = {label: _part(of, chosen) for label, of in found.items()}
            scores = {
                label: over_runs(f"{name}: {label}", part, biased).pooled
                for label, part in parts.items()
                if len(part.ids) and part.counts.any(axis=1).all()
            }
            count = len(chosen)
            own.append(GroupAgreement(value=value, count=count, few=count < few, scores=scores))
        groups[field.name] = tuple(own)
        fields.warn_of_few(name, field.name, [g.value for g in own if g.few], few, progress)
    return groups


def _part(of: LabelMoments, chosen: set[str]) -> LabelMoments:
    rows = [row for row, identifier in enumerate(of.ids) if identifier in chosen]
    return LabelMoments([of.ids[row] for row in rows], of.moments[:, rows])


def chance(found: Mapping[str, LabelMoments]) -> dict[str, dict[str, float]]:
    """Label -> score -> what a constant gives: CCC and correlation 0, RMSE of the mean of the
    gold. Of all values; where runs differ in them, of the first run."""
    return {
        label: concordance.chance(concordance.pooled(of.moments[0])) for label, of in found.items()
    }
