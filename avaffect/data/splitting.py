"""Assignment of whole groups (speakers or sessions) to splits or folds, near requested shares."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.near import meant
from avaffect.core.nouns import count_of
from avaffect.core.seeds import generator
from avaffect.data.items import audio_of, video_of
from avaffect.data.manifest import Item, Manifest
from avaffect.settings.split import RECORDING

# Number of random orders; few, so that seeds still give different splits of a few speakers.
ORDERS = 16


def unit_of(item: Item, by: str) -> str:
    """The speaker, session or recording of an item; "" where it has none. Two spellings of one
    path, such as a.wav and ./a.wav, are one recording."""
    if by == RECORDING:
        path = audio_of(item) or video_of(item)
        return posixpath.normpath(path) if path else ""
    found = item.get(by)
    return "" if found is None else str(found)


def groups_of(source: Manifest, by: str) -> dict[str, list[int]]:
    """group -> positions of its items.

    Raises DataError, with the first item, for an item that is in none.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for position, item in enumerate(source.items):
        unit = unit_of(item, by)
        if not unit:
            raise DataError(
                f"{source.name}: {item['id']} has no {by}, and so may leak; remove such items "
                f"(`avaffect select --where {by}!=`), or split by something else: --by recording "
                "is for corpora whose speakers are unknown"
            )
        groups[unit].append(position)
    return groups


def class_weights(
    source: Manifest, groups: Mapping[str, Sequence[int]], label: str | None
) -> dict[str, np.ndarray]:
    """group -> number of its utterances, for each class of `label` or in all.

    Utterances without the label are one more class. Raises DataError if no utterance has the label,
    or it is not a class.
    """
    if label is None:
        return {group: np.array([len(rows)], float) for group, rows in groups.items()}
    values = [(item.get("labels") or {}).get(label) for item in source.items]
    names = [str(value) for value in values]
    if source.items and all(value is None for value in values):
        known = ", ".join(source.header.labels or {}) or "none"
        raise DataError(f"{source.name} has no label {label!r} (it has: {known})"
                        f"{meant(label, source.header.labels or {})}")  # fmt: skip
    if any(isinstance(value, (list, dict)) for value in values):
        raise DataError(
            f"{source.name}: label {label!r} is not a class: it cannot be stratified by"
        )
    index = {name: position for position, name in enumerate(sorted(set(names)))}
    return {
        group: np.bincount([index[names[row]] for row in rows], minlength=len(index)).astype(float)
        for group, rows in groups.items()
    }


def assign(
    weights: Mapping[str, np.ndarray], ratios: Sequence[float], seed: int, by: str
) -> dict[str, int]:
    """group -> part, so that the parts' shares of utterances (of each class) come near `ratios`.

    weights: group -> utterances (C,). Of ORDERS seeded random orders of the groups, the best is
    used. In each, a group is assigned to the part where it most reduces the squared distance
    between actual and desired sizes, relative to the size of the class. Every part with a ratio
    above 0 gets at least one group.

    Raises DataError if there are fewer groups than such parts.
    """
    parts = [part for part, ratio in enumerate(ratios) if ratio > 0]
    names = sorted(weights)
    if len(names) < len(parts):
        raise DataError(
            f"{count_of(len(names), by)} cannot fill {count_of(len(parts), 'part')}: a {by} is "
            "never divided; ask for fewer parts"
        )
    table = np.stack([weights[name] for name in names])
    totals = np.maximum(table.sum(axis=0), 1.0)
    shares = np.asarray(ratios, float) / float(np.sum(ratios))
    wanted = shares[:, None] * table.sum(axis=0)
    random = generator(seed, "split")
    best: tuple[float, np.ndarray] | None = None
    for _ in range(ORDERS):
        assigned, lacking = _assign_in_order(table, wanted, totals, parts, random)
        distance = float(np.sum(lacking**2 / totals))
        if best is None or distance < best[0]:
            best = (distance, assigned)
    assert best is not None
    return dict(zip(names, best[1].tolist()))


def _assign_in_order(
    table: np.ndarray,
    wanted: np.ndarray,
    totals: np.ndarray,
    parts: list[int],
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """The part of each group (G,), and the missing utterances of the parts (P, C), for one
    order."""
    lacking = wanted.copy()
    empty = set(parts)
    assigned = np.empty(len(table), dtype=np.int64)
    for position, group in enumerate(random.permutation(len(table))):
        must_fill = len(table) - position <= len(empty)
        open_parts = sorted(empty) if must_fill else parts
        gain = lacking[open_parts] @ (table[group] / totals)
        part = open_parts[int(np.argmax(gain))]
        assigned[group] = part
        lacking[part] -= table[group]
        empty.discard(part)
    return assigned, lacking


def shared_speaker(source: Manifest, parts: Sequence[int]) -> tuple[str, int, int] | None:
    """The first speaker in two parts, and an item's position in each; None if there is none.

    parts: the part of each item. Items without a speaker are ignored.
    """
    first: dict[str, int] = {}
    for position, item in enumerate(source.items):
        speaker = item.get("speaker")
        if speaker in (None, ""):
            continue
        earlier = first.setdefault(str(speaker), position)
        if parts[earlier] != parts[position]:
            return str(speaker), earlier, position
    return None
