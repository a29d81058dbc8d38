"""Gold labels by id, from stores and corpus manifests, and the order of classes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.near import meant
from avaffect.core.progress import Progress
from avaffect.data import artifacts, manifest
from avaffect.data.items import described_labels, labels_of
from avaffect.data.labels import Annotations
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec
from avaffect.data.vocabulary import EMOTIONS
from avaffect.recipes.common import work
from avaffect.recipes.scoring import class_tables, gold_names
from avaffect.recipes.scoring.gold_names import ByName, Names
from avaffect.recipes.scoring.matching import parse_labels
from avaffect.recipes.scoring.vote_scores import Gold, Votes

DEFAULT_LABEL = "emotion"


def label_names(label: str | None) -> tuple[str | None, str | None]:
    """The parts of --label NAME or NAME=OTHER: NAME, and OTHER where there is one."""
    if label is None:
        return None, None
    ((name, other),) = parse_labels([label]).items()
    return name, other if "=" in label else None


def read(
    paths: Iterable[Path], label: str | None, default: str = DEFAULT_LABEL, ids: str | None = None
) -> ByName[str | Votes | None]:
    """id -> class or raters' votes, None where it is missing, over several files.

    label: the value of --label; default: that of the predictions, in whose place a table may have a
    column of a usual name; ids: a table's column of ids, None for a usual name.

    Names that other programs derive from recordings are also there, where they mean one class.
    Raises DataError where a file has no such label, or an id is in two of the files.
    """
    return gold_names.joined((path, *_labels(path, label, default, ids)) for path in paths)


def _labels(
    path: Path, label: str | None, default: str, ids: str | None
) -> tuple[Gold, Names[str | Votes | None]]:
    if artifacts.is_table(path):
        return class_tables.gold(path, label, default, ids)
    label = label or default
    if path != manifest.STANDARD_STREAM and artifacts.kind_of(path) == "store":
        store = Store(path)
        labels = _of_store(store, label)
        return dict(zip(store.ids, labels)), gold_names.in_store(store, labels)
    whole_manifest = manifest.read(path, expect="corpus")
    items = whole_manifest.items
    if items and not any(label in item.get("labels", {}) for item in items):
        there = {name for item in items for name in item.get("labels", {})}
        have = ", ".join(sorted(there)) or "none"
        raise DataError(f"{path} has no label {label!r} (it has: {have}){meant(label, there)}")
    found = _of_items(whole_manifest, label)
    return found, gold_names.in_manifest(items, list(found.values()))


def _of_store(store: Store, label: str) -> list[str | Votes | None]:
    own = store.labels.get(label)
    if own is None or own.kind != "distribution":
        return list(Annotations({}).names(store, label))
    return [_voted(own.classes, row) for row in np.asarray(store.label(label)).tolist()]


def _of_items(found: manifest.Manifest, label: str) -> Gold:
    """Raises DataError where a value is neither a class nor, of a distribution, votes."""
    spec = described_labels(found).get(label)
    if spec is None or spec.kind != "distribution":
        spec = LabelSpec("class")
    labels = {item["id"]: labels_of(item, {label: spec})[label] for item in found.items}
    if spec.kind == "class":
        return labels
    return {i: None if row is None else _voted(spec.classes, row) for i, row in labels.items()}


def _voted(classes: Sequence[str], row: Sequence[float]) -> Votes | None:
    """None where the votes are unknown."""
    if any(math.isnan(number) for number in row):
        return None
    return Votes(tuple(classes), tuple(row))


def warn_of_doubts(name: str, pairs: Iterable[tuple[str, str]], progress: Progress) -> None:
    """Warn where gold and predicted classes seem to be different sets."""
    true, predicted = (set(side) for side in zip(*pairs, strict=True))
    work.warn_of_alike(name, in_order(true | predicted), progress)
    if true.isdisjoint(predicted):
        progress.warn(
            f"{name}: no predicted class ({work.some_of(in_order(predicted), 3)}) is a gold one "
            f"({work.some_of(in_order(true), 3)}): --label names the columns of a table, "
            "--classes renames classes"
        )
        return
    strange, missed = in_order(predicted - true), in_order(true - predicted)
    if strange and missed:
        progress.warn(
            f"{name}: {', '.join(strange)} predicted but never in the gold, "
            f"{', '.join(missed)} in the gold but never predicted: if these are one class, "
            f"--classes lists all classes with "
            f"{missed[0]}={strange[0]}+{missed[0]}"
        )


def in_order(names: Iterable[str]) -> list[str]:
    """Emotions in their usual order, then other classes by name."""
    place = {name: index for index, name in enumerate(EMOTIONS)}
    return sorted(names, key=lambda name: (place.get(name, len(place)), name))
