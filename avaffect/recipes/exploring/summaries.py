"""What utterances are like, in numbers: of fields, labels, durations and sound."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from avaffect.core.progress import followed
from avaffect.evaluation import balance, likeness
from avaffect.evaluation.balance import FAR
from avaffect.evaluation.sound_quality import MEASURES
from avaffect.recipes.common import speaker_classes
from avaffect.recipes.exploring.sounds import Sounds
from avaffect.recipes.exploring.utterances import SPEAKER, SPLIT, Column, Utterances
from avaffect.recipes.scoring.reports.exploration import (
    Alike,
    Duplicates,
    FieldSummary,
    LabelBalance,
    LabelByField,
    Outlier,
    Sound,
    Spread,
)

ALL = "all"
# Of more values than this a field has no table.
MOST_VALUES = 200
# Ids of a group of duplicates, and groups, that are listed.
MOST_IDS = 6
# Of these, only values on one side are worth a listen.
ONE_SIDED = {"snr_db": -1, "noise_db": 1, "silence": 1}
# Judged by their logarithm, as durations are skewed.
LOGARITHMIC = ("duration_s",)
UNJUDGED = ("peak_db",)
# What is nearer to the median is harmless, however alike the others are.
HARMLESS = {"offset": 0.02, "silence": 0.1}


def spread(values: np.ndarray) -> Spread:
    known = values[np.isfinite(values)].astype(np.float64)
    if not len(known):
        return Spread(count=0)
    least, low, median, high, greatest = np.quantile(known, [0, 0.05, 0.5, 0.95, 1]).tolist()
    return Spread(
        count=len(known), least=least, low=low, median=median, high=high, greatest=greatest,
        mean=float(known.mean()), total=float(known.sum()),
    )  # fmt: skip


def by_split(values: np.ndarray, of: Utterances) -> dict[str, Spread]:
    """Of all utterances, and of each split."""
    found = {ALL: spread(values)}
    splits = of.fields.get(SPLIT)
    for code, name in enumerate(splits.names if splits is not None else ()):
        assert splits is not None
        found[name] = spread(values[splits.codes == code])
    return found


def field_summary(column: Column) -> FieldSummary:
    counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.names))
    named = dict(zip(column.names, counts.tolist(), strict=True))
    return FieldSummary(
        values=len(column.names),
        counts=named if len(named) <= MOST_VALUES else {},
        missing=int((column.codes < 0).sum()),
        fewest=int(counts.min()),
        median=float(np.median(counts)),
        most=int(counts.max()),
    )


def label_balance(label: Column, fields: Mapping[str, Column]) -> LabelBalance:
    counts = np.bincount(label.codes[label.codes >= 0], minlength=len(label.names))
    return LabelBalance(
        classes=dict(zip(label.names, counts.tolist(), strict=True)),
        missing=int((label.codes < 0).sum()),
        by={
            name: _by_field(label, column)
            for name, column in followed([*fields.items()], "labels", len(fields), "fields")
        },
        told_by=_told_by(label, fields[SPEAKER]) if SPEAKER in fields else None,
    )


def _told_by(label: Column, speakers: Column) -> str | None:
    known = (label.codes >= 0) & (speakers.codes >= 0)
    pairs, counts = np.unique(
        np.stack([speakers.codes[known], label.codes[known]]), axis=1, return_counts=True
    )
    names = ((str(who), str(what)) for who, what in pairs.T.tolist())
    return speaker_classes.told_by(dict(zip(names, counts.tolist(), strict=True)))


def _by_field(label: Column, column: Column) -> LabelByField:
    known = (label.codes >= 0) & (column.codes >= 0)
    values, classes = len(column.names), len(label.names)
    # The cells of the table that are above 0: of many speakers and classes few are.
    cells, counts = np.unique(
        column.codes[known].astype(np.int64) * classes + label.codes[known], return_counts=True
    )
    row, place = cells // classes, cells % classes
    there = np.bincount(place, minlength=classes)
    # A class that occurs nowhere is lacking in none.
    without = np.where(there > 0, values - there, 0)
    lacking = {n: int(k) for n, k in zip(label.names, without) if k}
    named: dict[str, dict[str, int]] = {}
    if values <= MOST_VALUES:
        table = np.zeros((values, classes), dtype=np.int64)
        table[row, place] = counts
        rows = zip(column.names, table.tolist(), strict=True)
        named = {name: dict(zip(label.names, own)) for name, own in rows}
    cramers_v = balance.cramers_v(row, place, counts) if len(cells) else None
    return LabelByField(counts=named, lacking=lacking, cramers_v=cramers_v)


def speakers_across_splits(of: Utterances) -> int | None:
    speakers, splits = of.fields.get(SPEAKER), of.fields.get(SPLIT)
    if speakers is None or splits is None:
        return None
    known = (speakers.codes >= 0) & (splits.codes >= 0)
    pairs = np.unique(np.stack([speakers.codes[known], splits.codes[known]]), axis=1)
    return int((np.bincount(pairs[0], minlength=1) > 1).sum())


def confounded(of: Utterances, sounds: Sounds) -> dict[str, dict[str, float]]:
    """How much of a measure's variance is between the classes of a label, or values of a field."""
    found: dict[str, dict[str, float]] = {}
    for name, column in {**of.fields, **of.classes}.items():
        # Speakers differ in voice and room, of course.
        if name == SPEAKER:
            continue
        shares = {m: balance.epsilon_squared(sounds.of(m), column.codes) for m in MEASURES}
        known = {measure: share for measure, share in shares.items() if share is not None}
        if known:
            found[name] = known
    return found


def sound(of: Utterances, sounds: Sounds, most: int) -> Sound:
    listed, count = outliers(of, sounds, most)
    known = sounds.clipped >= 0
    most_clipped = [row for row in np.argsort(-sounds.clipped, kind="stable")[:most].tolist()
                    if sounds.clipped[row] > 0]  # fmt: skip
    return Sound(
        measures={name: by_split(sounds.of(name), of) for name in MEASURES},
        clipped=int((sounds.clipped > 0).sum()) if known.any() else None,
        most_clipped={of.ids[row]: int(sounds.clipped[row]) for row in most_clipped},
        unusable=dict(sounds.unusable.most_common()),
        outliers=count,
        listed=tuple(listed),
    )


def outliers(of: Utterances, sounds: Sounds, most: int) -> tuple[list[Outlier], int]:
    """The `most` utterances that are farthest from the others in any measure, each in that; and
    how many are beyond the usual bound."""
    far = np.zeros((len(of.ids), len(MEASURES)))
    if not np.isfinite(sounds.of(LOGARITHMIC[0])).any():
        return [], 0
    for place, name in enumerate(MEASURES):
        if name in UNJUDGED:
            continue
        values = sounds.of(name).astype(np.float64)
        if name in LOGARITHMIC:
            values = np.log(np.where(values > 0, values, np.nan))
        z = np.nan_to_num(balance.modified_z(values))
        near = np.abs(values - np.nanmedian(values)) < HARMLESS.get(name, 0.0)
        z[near | (np.sign(z) != ONE_SIDED.get(name, np.sign(z)))] = 0.0
        far[:, place] = z
    farthest = np.abs(far).max(axis=1, initial=0.0)
    count = int((farthest > FAR).sum())
    found = []
    for row in np.argsort(-farthest, kind="stable")[: min(most, count)].tolist():
        place = int(np.abs(far[row]).argmax())
        found.append(Outlier(
            id=of.ids[row], media=of.media(row), measure=MEASURES[place],
            value=float(sounds.measures[row, place]), z=float(far[row, place]),
        ))  # fmt: skip
    return found, count


def duplicates(of: Utterances, sounds: Sounds, most: int) -> tuple[Duplicates, np.ndarray]:
    """Also (N,) the number of each utterance's group of two or more, -1 of none."""
    rows = np.flatnonzero(sounds.has_fingerprint)
    groups = likeness.alike(sounds.fingerprints[rows])
    sizes = np.bincount(groups) if len(groups) else np.zeros(0, dtype=np.int64)
    group_of = np.full(len(of.ids), -1, dtype=np.int64)
    several = sizes[groups] > 1 if len(groups) else np.zeros(0, dtype=bool)
    group_of[rows[several]] = groups[several]
    order = rows[several][np.argsort(groups[several], kind="stable")]
    members = np.split(order, np.flatnonzero(np.diff(group_of[order])) + 1) if len(order) else []
    found = [_alike(of, own) for own in members]
    found.sort(key=lambda one: (len(one.splits) < 2, -one.count))
    return Duplicates(
        groups=len(found),
        utterances=len(order),
        across_splits=sum(len(one.splits) > 1 for one in found),
        across_speakers=sum(len(one.speakers) > 1 for one in found),
        listed=tuple(found[:most]),
    ), group_of


def _alike(of: Utterances, rows: np.ndarray) -> Alike:
    def values(name: str) -> tuple[str, ...]:
        column = of.fields.get(name)
        if column is None:
            return ()
        return tuple(column.names[k] for k in np.unique(column.codes[rows]).tolist() if k >= 0)

    return Alike(
        count=len(rows),
        ids=tuple(of.ids[row] for row in rows[:MOST_IDS].tolist()),
        splits=values(SPLIT),
        speakers=values(SPEAKER)[:MOST_IDS],
    )
