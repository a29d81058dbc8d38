"""The runs of a classifier, built from its file, and the utterances that each predicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avaffect.core.errors import DataError
from avaffect.core.headers import ClassifierHeader
from avaffect.core.provenance import of_role
from avaffect.data import artifacts
from avaffect.models import registry
from avaffect.models.encoder import Encoder
from avaffect.models.given import GivenFeatures
from avaffect.models.heads.labels import LabelHead
from avaffect.models.inputs import Inputs
from avaffect.recipes.downstream.predicted_labels import head_of, input_models
from avaffect.recipes.encoding import checkpoints
from avaffect.training import checkpoint


@dataclass(frozen=True)
class Pass:
    """Heads that the same inputs serve at once, and the utterances (indices) that they predict."""

    inputs: Inputs
    heads: list[LabelHead]
    numbers: list[int]
    rows: np.ndarray


def passes_of(
    model: Path,
    header: ClassifierHeader,
    tensors: dict[str, Tensor],
    folds: Sequence[str],
    device: torch.device,
) -> Iterator[Pass]:
    """All runs of the classifier at `model`; those of frozen inputs that predict the same
    utterances together. folds: of each utterance.

    Raises DataError where there is a run for each fold and no utterance is in one.
    """
    by_fold: dict[int | None, list[int]] = {}
    for number, run in enumerate(header.runs):
        by_fold.setdefault(run.fold, []).append(number)
    if None not in by_fold and not any(folds):
        raise DataError(
            "the classifier has a run for each fold, but these utterances are in none; give the "
            "manifest of `avaffect split --folds` as --annotations"
        )
    shared = header.mode == "frozen"
    frozen = _inputs(model, header, tensors, None, device) if shared else None
    of_utterances = np.array(folds, dtype=object)
    for fold, numbers in by_fold.items():
        everyone = np.ones(len(folds), dtype=bool)
        rows = np.flatnonzero(everyone if fold is None else of_utterances == str(fold))
        together = [numbers] if frozen is not None else [[number] for number in numbers]
        for group in together if len(rows) else ():
            heads = []
            for number in group:
                description, prefix = head_of(header, number)
                head = checkpoint.build(description, tensors, model, prefix)
                heads.append(head.to(device).eval())
            inputs = frozen or _inputs(model, header, tensors, group[0], device)
            yield Pass(inputs, heads, group, rows)


def _inputs(
    model: Path,
    header: ClassifierHeader,
    tensors: dict[str, Tensor],
    run: int | None,
    device: torch.device,
) -> Inputs:
    """What the head of a run reads; of None that of all, whose encoder is frozen."""
    encoders: dict[str, Encoder] = {}
    for name, description in input_models(header).items():
        encoder = registry.build(description)
        if not isinstance(encoder, GivenFeatures):
            if run is None:
                encoder = _frozen_encoder(model, header, device)
            else:
                prefix = f"runs.{run}.encoder."
                encoder = checkpoint.build(description, tensors, model, prefix)
        encoders[name] = encoder.to(device).eval()
    return Inputs(encoders)


def _frozen_encoder(model: Path, header: ClassifierHeader, device: torch.device) -> Encoder:
    """The parent, found by reference."""
    parents = of_role(header.provenance, "encoder")
    if not parents:
        raise DataError(f"{model} does not say which encoder is under its head")
    return checkpoints.load_encoder(artifacts.locate_parent(parents[0], model), device)[0]
