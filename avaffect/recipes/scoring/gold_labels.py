"""Gold labels by id, from stores and corpus manifests, and the order of classes."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.hashing import file_content_id
from avaffect.core.near import meant
from avaffect.core.progress import Progress
from avaffect.data import artifacts, manifest
from avaffect.data.items import audio_of, described_labels, labels_of
from avaffect.data.labels import Annotations
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec
from avaffect.data.vocabulary import EMOTIONS
from avaffect.recipes.common import work
from avaffect.recipes.scoring import class_tables
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
) -> Gold:
    """id -> class or raters' votes, None where it is missing, over several files.

    label: the value of --label; default: that of the predictions, in whose place a table may have a
    column of a usual name; ids: a table's column of ids, None for a usual name.

    Names that other programs derive from recordings are also there, where they mean one class.
    Raises DataError where a file has no such label, or an id is in two of the files.
    """
    found: Gold = {}
    also: dict[str, set[str | Votes | None]] = defaultdict(set)
    home: dict[str, Path] = {}
    for path in paths:
        labels, names = _labels(path, label, default, ids)
        for identifier in labels:
            if identifier in home:
                raise DataError(f"the id {identifier} is in {home[identifier]} and in {path}")
            home[identifier] = path
        found |= labels
        for name, known in names:
            also[name].add(known)
    for name, values in also.items():
        if len(values) == 1:
            found.setdefault(name, *values)
    return found


def inputs(paths: Iterable[Path]) -> list[work.Input]:
    """The files of --gold as inputs of a report."""
    return [
        ("gold", path, file_content_id(path)) if artifacts.is_table(path)
        else work.file_inputs("gold", [path])[0]
        for path in paths
    ]  # fmt: skip


def _labels(
    path: Path, label: str | None, default: str, ids: str | None
) -> tuple[Gold, class_tables.Names]:
    if artifacts.is_table(path):
        return class_tables.gold(path, label, default, ids)
    label = label or default
    if path != manifest.STANDARD_STREAM and artifacts.kind_of(path) == "store":
        store = Store(path)
        labels = _of_store(store, label)
        sources = [str(source) for source in store.meta.get("source", ())]
        once = Counter(sources)
        whole = [(n, known) for n, known in zip(sources, labels) if n and once[n] == 1]
        recordings, known = [n for n, _ in whole], [known for _, known in whole]
        parts = [(None, None)] * len(whole)
        return dict(zip(store.ids, labels)), class_tables.names_of(recordings, parts, known)
    whole_manifest = manifest.read(path, expect="corpus")
    items = whole_manifest.items
    if items and not any(label in item.get("labels", {}) for item in items):
        there = {name for item in items for name in item.get("labels", {})}
        have = ", ".join(sorted(there)) or "none"
        raise DataError(f"{path} has no label {label!r} (it has: {have}){meant(label, there)}")
    found = _of_items(whole_manifest, label)
    recordings = [audio_of(item) for item in items]
    parts = [(item.get("start"), item.get("end")) for item in items]
    return found, class_tables.names_of(recordings, parts, list(found.values()))


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
