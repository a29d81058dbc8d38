"""Encoder checkpoints: the encoder under its published names, and the objective that trained it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avaffect.core import headers
from avaffect.core.errors import DataError
from avaffect.core.headers import Adapters, CheckpointHeader, EncoderHeader, Input, KeptObjective
from avaffect.core.progress import Progress
from avaffect.core.provenance import of_role
from avaffect.core.streams import FEATURES, SAMPLE_RATE_HZ
from avaffect.data import artifacts
from avaffect.data.dataset import held_streams
from avaffect.data.store.reader import Store
from avaffect.models import lora, registry
from avaffect.models.encoder import Encoder, rate_of
from avaffect.models.given import GivenFeatures, GivenFeaturesConfiguration
from avaffect.objectives.base import Pretraining
from avaffect.objectives.registry import describe, kept_weights
from avaffect.training import checkpoint


def load_encoder(path: Path, device: torch.device) -> tuple[Encoder, EncoderHeader]:
    """An encoder in evaluation mode, and its header.

    Raises DataError when the file is no encoder or its weights do not fit.
    """
    header, tensors = checkpoint.read(path, EncoderHeader)
    encoder = checkpoint.build(header.model, tensors, path)
    return encoder.to(device).eval(), header


def adapted(
    encoder: Encoder, adapters: Adapters, tensors: dict[str, Tensor], path: Path, prefix: str
) -> Encoder:
    """The same encoder with the adapters that a classifier at `path` holds under `prefix`.

    Raises DataError where they do not fit it.
    """
    frozen = encoder.state_dict()
    try:
        lora.insert(encoder, adapters)
    except AttributeError as error:
        raise DataError(
            f"{path} has adapters that its encoder has no place for: {error}"
        ) from error
    own = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
    checkpoint.load_into(encoder, {**frozen, **own}, path)
    return encoder.eval()


def given_features(stores: Sequence[Store], progress: Progress) -> tuple[Encoder, EncoderHeader]:
    """The features that stores hold, in the place of an encoder, and what a header says of them.

    Raises DataError where there are none, or two stores hold those of different models.
    """
    _check_frames(stores)
    held_streams(stores, GivenFeatures.streams)
    holders = [store for store in stores if FEATURES in store.streams]
    made = [store.streams[FEATURES].made for store in holders]
    for store, words in zip(holders, made):
        if words != made[0]:
            raise DataError(f"{holders[0].path} and {store.path} hold features of different models")
    spec = holders[0].streams[FEATURES]
    encoder = GivenFeatures(GivenFeaturesConfiguration(int(np.prod(spec.shape)), spec.rate_hz))
    header = EncoderHeader(
        model=registry.describe(encoder),
        preprocessing=Input(rate_hz=spec.rate_hz, features=made[0]),
        labelled_speakers=_speakers_behind(holders, progress),
    )
    return encoder.eval(), header


def _check_frames(stores: Sequence[Store]) -> None:
    """Raises DataError where there are vectors of whole utterances and nothing over time."""
    if any(store.streams for store in stores):
        return
    for store in stores:
        for name in store.pooled:
            raise DataError(
                f"{store.path} holds one vector for each utterance (/pooled/{name}), and a head "
                "reads features over time: extract them without --pooled-only, and with a "
                "front-end that gives frames (egemaps, not egemaps-functionals), or import frames"
            )


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


def masking_kind(encoder: Encoder) -> str:
    """ "feature" or "input": what of an encoder masked prediction can hide."""
    return getattr(encoder.configuration, "masking", "feature")


def save_encoder(
    output: Path,
    encoder: Encoder,
    objective: Pretraining | None,
    others: dict[str, nn.Module | None] | None = None,
    **facts: Any,
) -> str:
    """Write an encoder checkpoint; returns its content id.

    objective: what trained it and can train it further, kept with all that it has learned; None
    where nothing can. others: what was trained with it and is kept beside it, under its name
    (emotion_classifier). facts: further fields of the header.
    """
    beside = {} if objective is None else kept_weights(objective)
    for prefix, module in (others or {}).items():
        if module is not None:
            beside |= {f"{prefix}.{name}": t for name, t in module.state_dict().items()}
    header = EncoderHeader(
        model=registry.describe(encoder),
        objective=None if objective is None else KeptObjective(**describe(objective)),
        preprocessing=Input(
            streams=encoder.streams, rate_hz=rate_of(encoder), sample_rate=SAMPLE_RATE_HZ
        ),
        **facts,
    )
    return checkpoint.write(output, header, {**encoder.state_dict(), **beside})
