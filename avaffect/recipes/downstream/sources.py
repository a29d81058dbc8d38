"""Inputs of a head: an encoder on media, features in stores, or both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avaffect.core.errors import DataError
from avaffect.core.headers import EncoderHeader, ReadLayers, labelled_speakers
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.sampling import EVERYTHING, Sampling
from avaffect.core.streams import FEATURES
from avaffect.data.dataset import Column, Dataset, absent_column, column_of
from avaffect.data.store.reader import Store
from avaffect.data.vectors import vectors_of
from avaffect.models import registry
from avaffect.models.encoder import Encoder, rate_of
from avaffect.models.given import Given, GivenVectors, stream_of
from avaffect.models.inputs import ENCODER, Inputs
from avaffect.models.layers import beneath, read_layers
from avaffect.recipes.common.work import some_of
from avaffect.recipes.encoding import checkpoints
from avaffect.recipes.encoding.given import fits, given_features, size_in
from avaffect.recipes.encoding.input_streams import (
    chosen_streams,
    leave_out_words,
    usable_rows,
)


@dataclass(frozen=True)
class Sources:
    """media: stores of the streams that are read under their own names; features: name -> store;
    vectors: stream of a batch -> name of the vectors that it is read from, where it is no stream of
    a store; sampling: the part of an utterance that the encoder reads, and of its features in the
    same section; withheld: features that every utterance is to lack."""

    media: Sequence[Store]
    streams: tuple[str, ...]
    features: Mapping[str, Store]
    vectors: Mapping[str, str]
    sampling: Sampling = EVERYTHING
    withheld: tuple[Given, ...] = ()

    @classmethod
    def of(
        cls, media: Sequence[Store], streams: tuple[str, ...], features: Mapping[str, Store],
        inputs: Inputs, without: Sequence[str] = (),
    ) -> Sources:  # fmt: skip
        """Of the inputs of a head. without: names of features that every utterance is to lack."""
        given = {name: store for name, store in features.items() if name not in without}
        withheld = tuple(
            encoder
            for name, encoder in inputs.encoders.items()
            if name in without and isinstance(encoder, Given)
        )
        return cls(media, streams, given, vectors_in(inputs), inputs.sampling, withheld)

    @property
    def unit(self) -> str:
        """What is read of an utterance, in words."""
        streams = {*self.streams, *map(stream_of, self.features)}
        return "frame" if streams - self.vectors.keys() else "vector"

    def dataset(self, ids: Sequence[str], seed: int = 0) -> Dataset:
        """The utterances `ids`, joined by id: a stream that a store lacks is missing."""
        columns = {name: self._column(self.media, ids, name, name) for name in self.streams}
        for name, store in self.features.items():
            stream = stream_of(name)
            columns[stream] = self._column([store], ids, stream, FEATURES)
        for given in self.withheld:
            stream = given.configuration.stream
            columns[stream] = absent_column(len(ids), (given.dim,), rate_of(given))
        return Dataset(list(ids), columns, seed=seed, sampling=self.sampling)

    def _column(
        self, stores: Sequence[Store], ids: Sequence[str], stream: str, held_as: str
    ) -> Column:
        """Of a stream of a batch: of vectors, or of a stream that stores hold under a name."""
        if stream in self.vectors:
            return vectors_of(stores, ids, self.vectors[stream])
        return replace(column_of(stores, ids, held_as), held_as=held_as)

    def check_ids(self, ids: Sequence[str], progress: Progress) -> None:
        """Raises DataError where a store of features holds none of `ids`; warns where it lacks
        some, which count as its mean."""
        for name, store in self.features.items():
            lacking = sorted(set(ids) - set(store.ids))
            if len(lacking) == len(set(ids)):
                raise DataError(
                    f"{store.path} (--features {name}) holds no utterance of the media store: of "
                    f"its {count_of(len(lacking), 'id')}, {some_of(lacking)}, none is there, where "
                    f"ids are like {next(iter(store.ids), 'none')}"
                )
            if lacking:
                progress.warn(
                    f"{store.path} (--features {name}) lacks {len(lacking)} of "
                    f"{count_of(len(set(ids)), 'utterance')}: {some_of(lacking)}"
                )

    def shown(self, inputs: Inputs, ids: Sequence[str], progress: Progress) -> np.ndarray:
        """(N,) bool: utterances with at least one frame; others are named in a warning."""
        dataset = self.dataset(ids)
        shown = usable_rows(inputs, dataset)
        if not shown.all():
            progress.warn(leave_out_words(shown, ids, tuple(dataset.columns), self.unit))
        return shown


@dataclass(frozen=True)
class Opened:
    """Inputs of a head, and their part of a classifier's header.

    header: of the encoder, or in its place; labelled_speakers: speakers whose labels trained the
    models beneath; made: name of features -> model and layer of their extraction.
    """

    inputs: Inputs
    sources: Sources
    header: EncoderHeader
    labelled_speakers: tuple[str, ...]
    made: Mapping[str, Any]


def opened(
    encoder_path: Path | None,
    modality: str | None,
    media: Sequence[Store],
    features: Mapping[str, Store],
    device: torch.device,
    progress: Progress,
    layers: ReadLayers | None = None,
    vectors: str | None = None,
) -> Opened:
    """The encoder at a path, on `media`, and features by name; the features of `media` where
    neither is named. layers: of the encoder; vectors: name of those that are read in place of
    frames.

    Raises UsageError for layers that the encoder does not have, DataError where there are no
    features, or an encoder's streams are in no store.
    """
    encoders: dict[str, Encoder] = {}
    headers: list[EncoderHeader] = []
    streams: tuple[str, ...] = ()
    if encoder_path is not None:
        encoder, header = checkpoints.load_encoder(encoder_path, device)
        headers.append(header)
        streams = chosen_streams(encoder, modality, media, progress)
        encoders[ENCODER] = read_layers(encoder, layers)
    elif not features:
        encoders[FEATURES], header = given_features(media, progress, vectors=vectors)
        headers.append(header)
        streams = encoders[FEATURES].streams
    else:
        _say_unread(media, features, progress)
    made: dict[str, Any] = {}
    for name, store in features.items():
        encoders[name], header = given_features([store], progress, stream_of(name), vectors)
        headers.append(header)
        made[name] = header.preprocessing.features
    inputs = Inputs(encoders)
    return Opened(
        inputs,
        Sources.of(media, streams, features, inputs),
        headers[0],
        labelled_speakers(*headers),
        made,
    )


def _say_unread(media: Sequence[Store], features: Mapping[str, Store], progress: Progress) -> None:
    """Say which stores have features of their own that are not read beside those with a name."""
    named = {store.content_id for store in features.values()}
    for store in media:
        if store.content_id not in named and (FEATURES in store.streams or store.pooled):
            progress.say(
                f"{store.path}: its own features are not read beside --features; "
                f"--features NAME={store.path} joins them"
            )


def vectors_in(inputs: Inputs) -> dict[str, str]:
    """Stream of a batch -> name of the vectors that it holds, of the inputs that read vectors."""
    return {
        encoder.configuration.stream: encoder.configuration.name
        for encoder in inputs.encoders.values()
        if isinstance(encoder, GivenVectors)
    }


def described(inputs: Inputs) -> dict[str, registry.Description]:
    """Name -> model of every input, for a classifier's header."""
    return {name: registry.describe(beneath(e)) for name, e in inputs.encoders.items()}


def check_features(
    model: Path, made: Mapping[str, Any], features: Mapping[str, Store], inputs: Inputs,
    some: bool = False, without: Sequence[str] = (),
) -> None:  # fmt: skip
    """Raises DataError unless the features are those, by name, that a classifier was trained on.

    inputs: of the classifier's head; some: whether it can do without some of them; without: names
    of those that are not read, and may be left out.
    """
    enough = features or inputs.encoder is not None
    there = features.keys() | {*without}
    if made.keys() != there and not (some and enough and features.keys() <= made.keys()):
        needed = " ".join(f"--features {name}=STORE.h5" for name in made) or "no --features"
        raise DataError(f"{model} reads {needed}; given: {', '.join(features) or 'none'}")
    for name, store in features.items():
        encoder = inputs.encoders[name]
        assert isinstance(encoder, Given)
        if (size := size_in(store, encoder)) not in (None, encoder.dim):
            raise DataError(
                f"{store.path} (--features {name}) has {count_of(size, 'number')} a frame; {model} "
                f"was trained on {encoder.dim}: extract them with the same model"
            )
        if not fits(store, encoder, made[name]):
            raise other_features(store.path, model)


def other_features(store: Path, model: Path) -> DataError:
    return DataError(
        f"{store}: its features are not those that {model} was trained on; extract them with the "
        "same model"
    )
