"""Gold numbers of utterances by id, from stores, corpus manifests and tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.near import meant
from avaffect.data import artifacts, manifest
from avaffect.data.items import label_specs, labels_of
from avaffect.data.labels import Annotations
from avaffect.data.store.reader import Store
from avaffect.recipes.scoring import gold_names, number_tables
from avaffect.recipes.scoring.gold_names import ByName, Names
from avaffect.recipes.scoring.number_tables import KIND, Values


def read(paths: Sequence[Path], label: str, ids: str | None = None) -> ByName[float | None]:
    """Gold values by id, None where one is missing, and by names that other programs derive from
    recordings. ids: a table's column of ids, None for a usual name.

    Raises DataError where an id is in two files, or a file has no such label of numbers.
    """
    return gold_names.joined((path, *_values(path, label, ids)) for path in paths)


def labels_in(paths: Sequence[Path]) -> list[str]:
    """Labels of numbers that all of the files have."""
    of_files = [_labels(path) for path in paths]
    return [name for name in of_files[0] if all(name in known for known in of_files)]


def _labels(path: Path) -> list[str]:
    if artifacts.is_table(path):
        return number_tables.labels_in(path)
    if _is_store(path):
        specs = Store(path).labels
    else:
        specs = label_specs(manifest.read(path, expect="corpus"))
    return [name for name, spec in specs.items() if spec.kind == KIND]


def _is_store(path: Path) -> bool:
    return path != manifest.STANDARD_STREAM and artifacts.kind_of(path) == "store"


def _values(path: Path, label: str, ids: str | None) -> tuple[Values, Names[float | None]]:
    if artifacts.is_table(path):
        return number_tables.gold(path, label, ids)
    if _is_store(path):
        store = Store(path)
        numbers = Annotations({}).scalars(store, label).tolist()
        own = [None if np.isnan(value) else value for value in numbers]
        return dict(zip(store.ids, own)), gold_names.in_store(store, own)
    whole = manifest.read(path, expect="corpus")
    specs = label_specs(whole)
    if label not in specs or specs[label].kind != KIND:
        there = [name for name, spec in specs.items() if spec.kind == KIND]
        have = ", ".join(there) or "none"
        raise DataError(
            f"{path} has no label {label!r} that is a number (it has: {have}){meant(label, there)}"
        )
    found = {i["id"]: labels_of(i, {label: specs[label]})[label] for i in whole.items}
    return found, gold_names.in_manifest(whole.items, list(found.values()))
