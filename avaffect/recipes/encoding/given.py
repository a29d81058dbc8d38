"""Features that stores hold, frames or vectors of utterances, in the place of an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from avaffect.core import headers
from avaffect.core.errors import DataError
from avaffect.core.headers import CheckpointHeader, EncoderHeader, Input
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.provenance import of_role
from avaffect.core.streams import FEATURES
from avaffect.data import artifacts
from avaffect.data.dataset import held_streams
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import PooledSpec, StreamSpec
from avaffect.data.vectors import chosen_vectors
from avaffect.models import registry
from avaffect.models.given import (
    Given,
    GivenFeatures,
    GivenFeaturesConfiguration,
    GivenVectors,
    GivenVectorsConfiguration,
)

# How features were made that a published classifier was trained on.
UNRECORDED = {"published": True}


def given_features(
    stores: Sequence[Store], progress: Progress, stream: str = FEATURES, vectors: str | None = None
) -> tuple[Given, EncoderHeader]:
    """Frames, or vectors of utterances where there are no frames, and what a header says of them.

    stream: their name in a batch; vectors: the name of those that are read in place of frames, in
    stores that have them. Raises DataError where there is nothing, there are vectors of several
    names, or two stores hold features of different models.
    """
    name = chosen_vectors(stores, vectors)
    if name is None:
        held_streams(stores, (FEATURES,))
    specs = {store: spec for store in stores if (spec := spec_of(store, name)) is not None}
    _check_alike(specs)
    spec = next(iter(specs.values()))
    encoder: Given
    if isinstance(spec, StreamSpec):
        encoder = GivenFeatures(GivenFeaturesConfiguration(_size(spec), spec.rate_hz, stream))
    else:
        assert name is not None
        encoder = GivenVectors(GivenVectorsConfiguration(spec.dim, name, stream))
        paths = " and ".join(str(store.path) for store in specs)
        progress.say(
            f"{paths}: vectors of utterances are read ({name}, {count_of(spec.dim, 'number')})"
        )
    header = EncoderHeader(
        model=registry.describe(encoder),
        preprocessing=Input(rate_hz=getattr(spec, "rate_hz", 0.0), features=spec.made),
        labelled_speakers=_speakers_behind(list(specs), progress),
    )
    return encoder.eval(), header


def spec_of(store: Store, vectors: str | None) -> StreamSpec | PooledSpec | None:
    """Of the vectors of this name in a store, of None of its frames; None where it has none."""
    return store.streams.get(FEATURES) if vectors is None else store.pooled.get(vectors)


def has(store: Store, encoder: Given) -> bool:
    """Whether a store has what this stands for, whoever made it."""
    return _spec(store, encoder) is not None


def size_in(store: Store, encoder: Given) -> int | None:
    """Numbers in a frame or vector of the features of a store that this stands for; None where it
    has none."""
    spec = _spec(store, encoder)
    return None if spec is None else _size(spec)


def fits(store: Store, encoder: Given, made: dict[str, Any]) -> bool:
    """Whether the features of a store that this stands for were made so, and have its size; of a
    published classifier the size alone is known."""
    spec = _spec(store, encoder)
    if spec is None or size_in(store, encoder) != encoder.dim:
        return False
    return made == UNRECORDED or spec.made == made


def _spec(store: Store, encoder: Given) -> StreamSpec | PooledSpec | None:
    name = encoder.configuration.name if isinstance(encoder, GivenVectors) else None
    return spec_of(store, name)


def _size(spec: StreamSpec | PooledSpec) -> int:
    """Numbers in a frame or vector."""
    return spec.dim if isinstance(spec, PooledSpec) else int(np.prod(spec.shape))


def _check_alike(specs: dict[Store, StreamSpec | PooledSpec]) -> None:
    (first, expected), *others = specs.items()
    for store, spec in others:
        if _size(spec) != _size(expected):
            raise DataError(
                f"{first.path} and {store.path} hold features of different sizes: "
                f"{_size(expected)} and {_size(spec)} numbers"
            )
        if spec.made != expected.made:
            raise DataError(f"{first.path} and {store.path} hold features of different models")


def _speakers_behind(stores: Sequence[Store], progress: Progress) -> tuple[str, ...]:
    """Whose labels the models that made these stores have seen."""
    found: list[CheckpointHeader] = []
    for store in stores:
        for parent in of_role(store.provenance, "model"):
            try:
                path = artifacts.locate_parent(parent, store.path)
            except DataError as error:
                progress.warn(f"whose labels the model behind {store.path} has seen: {error}")
                continue
            found.append(headers.read(path, CheckpointHeader))
    return headers.labelled_speakers(*found)
