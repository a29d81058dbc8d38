"""What most recipes begin with: open inputs, record provenance, see whether there is work."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance, provenance, reference
from avaffect.data import artifacts
from avaffect.data.embeddings import Embeddings
from avaffect.data.labels import Annotations
from avaffect.data.manifest import Manifest
from avaffect.data.store import Store
from avaffect.settings.base import Common, semantic

Input = tuple[str, Path, str]


def open_stores(paths: Iterable[Path]) -> list[Store]:
    return [Store(path) for path in paths]


def store_inputs(role: str, stores: Iterable[Store]) -> list[Input]:
    return [(role, store.path, store.content_id) for store in stores]


def file_inputs(role: str, paths: Iterable[Path | None], *expected: str) -> list[Input]:
    """Files as inputs, of one of the kinds that `artifacts.describe` knows; None is skipped."""
    there = [path for path in paths if path is not None]
    return [(role, path, artifacts.describe(path, *expected).content_id) for path in there]


def warn_of_alike(
    what: str, classes: Collection[str], progress: Progress, hint: str | None = None
) -> None:
    """Warn of classes that are spelled alike; hint: the option that makes them one, --classes
    unless said otherwise."""
    # Here: commands that have nothing to do answer without the readers of tables.
    from avaffect.data import spellings

    groups = spellings.alike(classes)
    if groups:
        words = "; ".join(f"{', '.join(group)} are {len(group)} classes" for group in groups)
        progress.warn(
            f"{what}: {words}, though they are spelled alike but for case or signs; "
            f"{hint or spellings.classes_hint(classes)} makes them one"
        )


def manifest_input(role: str, manifest: Manifest, output: Path | None) -> dict[str, Any]:
    """A manifest as an input of `output`.

    A stream has no file to go back to: its own provenance stands in the reference.
    """
    if manifest.path is not None:
        return dict(reference(role, manifest.path, manifest.content_id, output))
    return {
        "role": role,
        "path": "",
        "content_id": manifest.content_id,
        "provenance": manifest.header.get("provenance", {}),
    }


def record(command: str, settings: Common, inputs: Iterable[Input]) -> Provenance:
    """The provenance of the output of `settings`."""
    references = [reference(role, path, content, settings.output) for role, path, content in inputs]
    return provenance(command, semantic(settings), references)


def is_done(settings: Common, made: Provenance, progress: Progress, plan: str) -> bool:
    """True where nothing is to be done: the output is current, or this is a dry run.

    Raises OutputExistsError where the output was made from other inputs or settings.
    """
    # Loading torch, just before, swallows signals.
    progress.check()
    if artifacts.is_current(settings.output, made, settings.force, progress):
        return True
    if settings.dry_run:
        progress.say(f"would {plan}" + (f" into {settings.output}" if settings.output else ""))
    return settings.dry_run


def warn_of_itself(query: Embeddings, pool: Embeddings, progress: Progress) -> None:
    """Warn where a store, by its content, is among the queries and in the pool."""
    of_pool = dict(zip(pool.content_ids, pool.stores))
    for store in query.stores:
        if store.content_id in of_pool:
            progress.warn(
                f"{store.path} is a query store, and {of_pool[store.content_id].path} of the pool "
                "holds the same: each of its utterances is most similar to itself and retrieves "
                "itself; name another pool"
            )


def in_split(
    stores: Sequence[Store],
    split: str,
    annotations: Annotations | None = None,
    asked: bool = False,
) -> list[np.ndarray]:
    """For each store, (N,) bool: utterances of `split`; all of a store that has no splits, unless
    the split was `asked` for, and is no default.

    Raises DataError where there are utterances, but none of them is in this split.
    """
    known = annotations or Annotations({})
    masks = []
    found: set[str] = set()
    for store in stores:
        column = known.field(store, "split")
        if split == "all" or not (asked or any(column)):
            masks.append(np.ones(store.count, dtype=bool))
        else:
            masks.append(np.array([value == split for value in column], dtype=bool))
            found |= set(column) - {""}
    if found and not any(mask.any() for mask in masks):
        raise DataError(
            f"{stores[0].path}: no utterance is in the split {split!r} (there are: "
            f"{', '.join(sorted(found))})"
        )
    if any(mask.size for mask in masks) and not any(mask.any() for mask in masks):
        there = "folds" if any(any(known.field(store, "fold")) for store in stores) else "none"
        raise DataError(
            f"{stores[0].path}: no utterance is in the split {split!r}, for there are no splits "
            f"(there are: {there}); make them with `avaffect split`, or leave --split out"
        )
    return masks


def chosen_ids(stores: Sequence[Store], masks: Sequence[np.ndarray]) -> list[str]:
    """The ids of the utterances that the masks choose, in order."""
    return [store.ids[row] for store, mask in zip(stores, masks) for row in np.flatnonzero(mask)]


def concatenate(columns: Sequence[Sequence[Any]], masks: Sequence[np.ndarray]) -> list[Any]:
    """One value per chosen utterance, from one column per store."""
    return [column[row] for column, mask in zip(columns, masks) for row in np.flatnonzero(mask)]


def some_of(names: Sequence[str], most: int = 5) -> str:
    """The first of some names, and whether there are more."""
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
