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
from avaffect.core.progress import Progress
from avaffect.core.sampling import EVERYTHING, Sampling
from avaffect.core.streams import FEATURES
from avaffect.data.dataset import Dataset, column_of
from avaffect.data.store.reader import Store
from avaffect.models import registry
from avaffect.models.encoder import Encoder
from avaffect.models.given import GivenFeatures, stream_of
from avaffect.models.inputs import ENCODER, Inputs
from avaffect.models.layers import beneath, read_layers
from avaffect.recipes.encoding import checkpoints
from avaffect.recipes.encoding.input_streams import (
    chosen_streams,
    leave_out_words,
    usable_rows,
)


@dataclass(frozen=True)
class Sources:
    """media: stores of the streams that are read under their own names; features: name -> store;
    sampling: the part of an utterance that the encoder reads, and of its features in the same
    section."""

    media: Sequence[Store]
    streams: tuple[str, ...]
    features: Mapping[str, Store]
    sampling: Sampling = EVERYTHING

    def dataset(self, ids: Sequence[str], seed: int = 0) -> Dataset:
        """The utterances `ids`, joined by id: a stream that a store lacks is missing."""
        columns = {name: column_of(self.media, ids, name) for name in self.streams}
        for name, store in self.features.items():
            columns[stream_of(name)] = replace(column_of([store], ids, FEATURES), held_as=FEATURES)
        return Dataset(list(ids), columns, seed=seed, sampling=self.sampling)

    def check_ids(self, ids: Sequence[str], progress: Progress) -> None:
        """Raises DataError where a store of features holds none of `ids`; warns where it lacks
        some, which count as its mean."""
        for name, store in self.features.items():
            lacking = sorted(set(ids) - set(store.ids))
            if len(lacking) == len(set(ids)):
                raise DataError(
                    f"{store.path} (--features {name}) holds no utterance of the media store: "
                    f"it has other ids than {lacking[0]}"
                )
            if lacking:
                progress.warn(
                    f"{store.path} (--features {name}) lacks {len(lacking)} of {len(set(ids))} "
                    f"utterances, such as {lacking[0]}"
                )

    def shown(self, inputs: Inputs, ids: Sequence[str], progress: Progress) -> np.ndarray:
        """(N,) bool: utterances with at least one frame; others are named in a warning."""
        dataset = self.dataset(ids)
        shown = usable_rows(inputs, dataset)
        if not shown.all():
            progress.warn(leave_out_words(shown, ids, tuple(dataset.columns)))
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
) -> Opened:
    """The encoder at a path, on `media`, and features by name; the features of `media` where
    neither is named. layers: of the encoder.

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
        encoders[FEATURES], header = checkpoints.given_features(media, progress)
        headers.append(header)
        streams = encoders[FEATURES].streams
    for name, store in features.items():
        given, header = checkpoints.given_features([store], progress)
        assert isinstance(given, GivenFeatures)
        encoders[name] = GivenFeatures(replace(given.configuration, stream=stream_of(name))).eval()
        headers.append(header)
    inputs = Inputs(encoders)
    return Opened(
        inputs,
        Sources(media, streams, features, inputs.sampling),
        headers[0],
        labelled_speakers(*headers),
        {name: store.streams[FEATURES].made for name, store in features.items()},
    )


def described(inputs: Inputs) -> dict[str, registry.Description]:
    """Name -> model of every input, for a classifier's header."""
    return {name: registry.describe(beneath(e)) for name, e in inputs.encoders.items()}


def check_features(model: Path, made: Mapping[str, Any], features: Mapping[str, Store]) -> None:
    """Raises DataError unless the features are those, by name, that a classifier was trained on."""
    if made.keys() != features.keys():
        needed = " ".join(f"--features {name}=STORE.h5" for name in made) or "no --features"
        raise DataError(f"{model} reads {needed}; given: {', '.join(features) or 'none'}")
    for name, store in features.items():
        spec = store.streams.get(FEATURES)
        if spec is None or spec.made != made[name]:
            raise other_features(store.path, model)


def other_features(store: Path, model: Path) -> DataError:
    return DataError(
        f"{store}: its features are not those that {model} was trained on; extract them with the "
        "same model"
    )
