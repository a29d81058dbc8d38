"""Merging stores: columns are joined, streams are copied block by block with their digests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from avaffect.core.errors import DataError
from avaffect.data.store import schema
from avaffect.data.store.layout import Blocks, Contents, Ragged
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec, PooledSpec, StreamSpec
from avaffect.data.store.statistics import merged_statistics

Spec = TypeVar("Spec", StreamSpec, LabelSpec, PooledSpec)


def merged(stores: Sequence[Store]) -> Contents:
    """The contents of several stores, in their order; values are read when they are written.

    A stream, label or field that a store lacks is missing for its utterances. Classes are in the
    order of their first occurrence. Raises DataError, with both stores, if ids collide or one name
    has different specifications.
    """
    _check_ids(stores)
    return Contents(
        [identifier for store in stores for identifier in store.ids],
        {name: _meta(stores, name) for name in _names(store.meta for store in stores)},
        {name: _stream(stores, name) for name in _names(store.streams for store in stores)},
        {name: _label(stores, name) for name in _names(store.labels for store in stores)},
        {name: _pooled(stores, name) for name in _names(store.pooled for store in stores)},
    )


def _names(groups: Iterable[Iterable[str]]) -> list[str]:
    return sorted({name for group in groups for name in group})


def _check_ids(stores: Sequence[Store]) -> None:
    owner: dict[str, Store] = {}
    for store in stores:
        for identifier in store.ids:
            other = owner.get(identifier)
            owner[identifier] = store
            if other is not None:
                raise DataError(
                    f"the id {identifier} is in {other.path} and in {store.path}; ids are unique "
                    "in a store: leave one store out, or make it again with another prefix"
                )


def _meta(stores: Sequence[Store], name: str) -> list[str] | np.ndarray:
    """The column that one writer would have made from all utterances."""
    columns = [store.meta.get(name) for store in stores]
    if any(isinstance(column, list) and column for column in columns):
        return [
            text
            for store, column in zip(stores, columns)
            for text in (_texts(column) if column is not None else [""] * store.count)
        ]
    parts = [np.full(s.count, np.nan) if c is None else c for s, c in zip(stores, columns)]
    # An empty store does not determine the type.
    kept = [np.asarray(part) for part in parts if len(part)]
    return np.concatenate(kept) if kept else next(c for c in columns if c is not None)


def _texts(column: list[str] | np.ndarray) -> list[str]:
    if isinstance(column, list):
        return column
    return ["" if value != value else schema.as_text(value) for value in column.tolist()]


def _same(stores: Sequence[Store], what: str, name: str, get: Callable[[Store], Spec | None],
          say: Callable[[Spec], dict[str, Any]]) -> Spec:  # fmt: skip
    """The common specification of all stores that have it."""
    having = [(store, spec) for store in stores if (spec := get(store)) is not None]
    first, expected = having[0]
    for store, spec in having[1:]:
        mine, theirs = say(expected), say(spec)
        unlike = [key for key in {**mine, **theirs} if mine.get(key) != theirs.get(key)]
        if "made" in unlike:
            raise DataError(
                f"{first.path} and {store.path} have the {what} {name!r} of different models; "
                "extract them with the same model, or do not merge them"
            )
        if unlike:
            words = ", ".join(f"{key} {mine.get(key)} and {theirs.get(key)}" for key in unlike)
            raise DataError(
                f"{first.path} and {store.path} have different kinds of the {what} {name!r} "
                f"({words}); they cannot be merged"
            )
    return expected


def _stream(stores: Sequence[Store], name: str) -> tuple[StreamSpec, Ragged]:
    spec = _same(stores, "stream", name, lambda s: s.streams.get(name), StreamSpec.describe)
    having = [store for store in stores if name in store.streams]
    lengths = [s.lengths(name) if s in having else np.zeros(s.count, np.int64) for s in stores]
    digests = [s.digests(name) if s in having else _empty_digests(s) for s in stores]

    def blocks() -> Iterator[np.ndarray]:
        for store in having:
            yield from store.blocks(name)

    return (
        replace(spec, statistics=_statistics(having, name)),
        Ragged(np.concatenate(lengths), np.concatenate(digests), blocks),
    )


def _statistics(stores: Sequence[Store], name: str) -> dict[str, Any]:
    """The merged statistics of all stores that are not empty."""
    holding = [store for store in stores if store.offsets(name)[-1]] or stores
    height, width = (*holding[0].streams[name].shape, 1, 1)[:2]
    parts = [store.streams[name].statistics for store in holding]
    return merged_statistics(parts, height * width)


def _empty_digests(store: Store) -> np.ndarray:
    row = np.frombuffer(schema.EMPTY_DIGEST, dtype=np.uint8)
    return np.broadcast_to(row, (store.count, len(row)))


def _label(stores: Sequence[Store], name: str) -> tuple[LabelSpec, np.ndarray | Ragged]:
    spec = _same(stores, "label", name, lambda s: s.labels.get(name), _without_classes)
    if spec.kind == "trace":
        return spec, _trace(stores, name)
    classes = tuple(
        dict.fromkeys(c for s in stores if name in s.labels for c in s.labels[name].classes)
    )
    united = LabelSpec(spec.kind, classes)
    return united, np.concatenate([_label_values(store, name, united) for store in stores])


def _without_classes(spec: LabelSpec) -> dict[str, Any]:
    return {key: value for key, value in spec.attributes().items() if key != "classes"}


def _label_values(store: Store, name: str, united: LabelSpec) -> np.ndarray:
    """A label's values as indices into the joined classes."""
    if name not in store.labels:
        if united.kind == "class":
            return np.full(store.count, -1, dtype="<i4")
        shape = (store.count, len(united.classes))
        return np.full(shape if united.kind == "distribution" else shape[:1], np.nan, dtype="<f4")
    values = store.label(name)
    places = [united.classes.index(c) for c in store.labels[name].classes]
    if united.kind == "class":
        # The last place is for -1, missing.
        return np.array([*places, -1], dtype="<i4")[values]
    if united.kind == "scalar":
        return values
    votes = np.zeros((store.count, len(united.classes)), dtype="<f4")
    votes[:, places] = values
    votes[np.isnan(values).all(axis=1)] = np.nan
    return votes


def _trace(stores: Sequence[Store], name: str) -> Ragged:
    having = [store for store in stores if name in store.labels]
    lengths = [
        np.diff(s.trace_offsets(name)) if s in having else np.zeros(s.count, np.int64)
        for s in stores
    ]
    digests = [s.trace_digests(name) if s in having else _empty_digests(s) for s in stores]

    def blocks() -> Iterator[np.ndarray]:
        for store in having:
            yield from store.trace_blocks(name)

    return Ragged(np.concatenate(lengths), np.concatenate(digests), blocks)


def _pooled(stores: Sequence[Store], name: str) -> tuple[PooledSpec, Blocks]:
    spec = _same(
        stores, "pooled vector", name, lambda s: s.pooled.get(name),
        lambda found: {"dim": found.dim, **found.attributes()},
    )  # fmt: skip
    for store in stores:
        if name not in store.pooled and store.count:
            raise DataError(f"{store.path} has no pooled vector {name!r}, but other stores do")

    def blocks() -> Iterator[np.ndarray]:
        for store in stores:
            if name in store.pooled:
                yield from store.pooled_blocks(name)

    return spec, blocks
