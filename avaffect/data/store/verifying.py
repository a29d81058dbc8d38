"""Verifying stores: every digest and the content id, recomputed from the bytes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from avaffect.core.errors import AvaffectError, DataError
from avaffect.core.nouns import count_of
from avaffect.core.progress import MB, SILENT, Progress, counted
from avaffect.data.store import schema
from avaffect.data.store.integrity import ragged_digests
from avaffect.data.store.opening import DAMAGE, check_size, damaged
from avaffect.data.store.reader import Store


def verify_store(path: Path, progress: Progress = SILENT) -> Store:
    """Read all of a store, recompute its digests and return it.

    Memory depends on the number of utterances, not on their length. Raises DataError with the first
    damaged utterance.
    """
    store = Store(path)
    check_size(path)
    try:
        with progress.task(f"checking {path}", path.stat().st_size / MB, "MB"):
            _verify(store, progress)
    except AvaffectError:
        raise
    except DAMAGE as error:
        raise damaged(path, error) from error
    return store


def _verify(store: Store, progress: Progress) -> None:
    if len(set(store.ids)) < store.count:
        raise DataError(f"{store.path} is damaged: an id occurs twice; make it again")
    for name in store.streams:
        _compare(store, f"stream {name}", store.lengths(name),
                 counted(store.blocks(name, verify=False), progress),
                 store.digests(name))  # fmt: skip
        store.verify_blocks(name)
    labels = {}
    for name, spec in store.labels.items():
        if spec.kind == "trace":
            digests = store.trace_digests(name)
            lengths = np.diff(store.trace_offsets(name))
            _compare(store, f"trace {name}", lengths,
                     store.trace_blocks(name, verify=False), digests)  # fmt: skip
            labels[name] = (spec, digests)
        else:
            labels[name] = (spec, store.label(name))
            _check_classes(store, name)
    recomputed = schema.store_content_id(
        store.ids,
        dict(store.meta),
        {n: (spec, store.offsets(n), store.digests(n)) for n, spec in store.streams.items()},
        labels,
        {n: (spec, _pooled_digest(store, n)) for n, spec in store.pooled.items()},
    )
    if recomputed != store.content_id:
        raise DataError(
            f"{store.path} is damaged: its ids, fields, labels or vectors do not match its content "
            "id; make it again"
        )


def _compare(
    store: Store, what: str, lengths: np.ndarray, blocks: Iterable[np.ndarray], digests: np.ndarray
) -> None:
    differs = (ragged_digests(lengths, blocks) != digests).any(axis=1)
    if differs.any():
        first = store.ids[int(np.argmax(differs))]
        raise DataError(
            f"{store.path} is damaged: {what} was changed in "
            f"{count_of(int(differs.sum()), 'utterance')}, the first of which is {first}; make it "
            "again"
        )


def _check_classes(store: Store, name: str) -> None:
    spec, values = store.labels[name], store.label(name)
    if spec.kind == "class" and ((values < -1) | (values >= len(spec.classes))).any():
        raise DataError(f"{store.path} is damaged: label {name} has values beyond its classes")


def _pooled_digest(store: Store, name: str) -> str:
    state = schema.array_digest_start("<f4", (store.count, store.pooled[name].dim))
    for block in store.pooled_blocks(name):
        state.update(memoryview(np.ascontiguousarray(block, dtype="<f4")).cast("B"))
    return state.hexdigest()
