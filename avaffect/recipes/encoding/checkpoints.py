"""Encoder checkpoints: the encoder under its published names, and the objective that trained it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from avaffect.core.errors import DataError
from avaffect.core.headers import Adapters, EncoderHeader, Input, KeptObjective
from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.models import lora, registry
from avaffect.models.encoder import Encoder, rate_of
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
        structure=encoder.structure,
        **facts,
    )
    return checkpoint.write(output, header, {**encoder.state_dict(), **beside})
