"""The runs of a classifier, built from its file, and the utterances that each predicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avaffect.core.errors import DataError
from avaffect.core.headers import ClassifierHeader
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance
from avaffect.data.dataset import Dataset
from avaffect.models import registry
from avaffect.models.encoder import Encoder
from avaffect.models.given import Given
from avaffect.models.heads.labels import LabelHead
from avaffect.models.inputs import Inputs
from avaffect.models.layers import read_layers
from avaffect.recipes.common.lineage import encoder_of
from avaffect.recipes.common.training_run import Work
from avaffect.recipes.downstream.bundle_parts import ENCODER_PREFIX
from avaffect.recipes.downstream.head_group import HeadGroup
from avaffect.recipes.downstream.predicted_labels import (
    PredictedLabel,
    head_of,
    input_models,
    modalities,
)
from avaffect.recipes.downstream.prediction_data import PredictedUtterances
from avaffect.recipes.encoding import checkpoints
from avaffect.settings.predict import PredictSettings
from avaffect.training import checkpoint
from avaffect.training.device import resolve_device


@dataclass(frozen=True)
class Pass:
    """Heads on the same inputs, the numbers of their runs, and the utterances (indices) that they
    predict; name: of its own, for what is kept of it."""

    name: str
    group: HeadGroup
    numbers: list[int]
    rows: np.ndarray


@dataclass(frozen=True)
class Prediction:
    """What `predict` writes: labels of utterances, by the runs of a classifier."""

    settings: PredictSettings
    header: ClassifierHeader
    tensors: dict[str, Tensor]
    labels: Sequence[PredictedLabel]
    made: Provenance
    utterances: PredictedUtterances
    progress: Progress
    work: Work

    def passes(self) -> Iterator[tuple[Pass, Dataset]]:
        """All runs, each pass with the utterances that it predicts; passes without a chosen one are
        left out.

        Raises DataError where there is a run for each fold and no utterance is in one.
        """
        for part in _passes(self):
            dataset = self.utterances.dataset.subset(part.rows)
            if not dataset.is_chosen.any():
                continue
            count = int(dataset.is_chosen.sum()) * self.settings.views
            with self.progress.task("predict", count):
                yield part, dataset


def _passes(prediction: Prediction) -> Iterator[Pass]:
    """Those of frozen inputs that predict the same utterances together."""
    settings, header, folds = prediction.settings, prediction.header, prediction.utterances.folds
    device = resolve_device(settings.device)
    by_fold: dict[int | None, list[int]] = {}
    for number, run in enumerate(header.runs):
        by_fold.setdefault(run.fold, []).append(number)
    if None not in by_fold and not any(folds):
        raise DataError(
            "the classifier has a run for each fold, but these utterances are in none; give the "
            "manifest of `avaffect split --folds` as --annotations"
        )
    shared = header.mode == "frozen"
    model, tensors = settings.model, prediction.tensors
    frozen = inputs_of_run(model, header, tensors, None, device) if shared else None
    of_utterances = np.array(folds, dtype=object)
    for fold, numbers in by_fold.items():
        everyone = np.ones(len(folds), dtype=bool)
        rows = np.flatnonzero(everyone if fold is None else of_utterances == str(fold))
        together = [numbers] if frozen is not None else [[number] for number in numbers]
        for group in together if len(rows) else ():
            heads = []
            for number in group:
                heads.append(head_of_run(model, header, tensors, number).to(device))
            inputs = frozen or inputs_of_run(model, header, tensors, group[0], device)
            applied = HeadGroup(
                inputs, heads, device, settings.batch_seconds, prediction.progress
            )  # fmt: skip
            yield Pass(f"run-{group[0]}", applied, group, rows)


def head_of_run(
    model: Path, header: ClassifierHeader, tensors: Mapping[str, Tensor], number: int
) -> LabelHead:
    """The head of a classifier's run at `number`. Raises DataError where weights do not fit."""
    description, prefix = head_of(header, number)
    head = checkpoint.build(description, dict(tensors), model, prefix)
    assert isinstance(head, LabelHead)
    return head.eval()


def inputs_of_run(
    model: Path, header: ClassifierHeader, tensors: dict[str, Tensor], run: int | None,
    device: torch.device,
) -> Inputs:  # fmt: skip
    """The inputs of the head of a run; of None the inputs of all, whose encoder is frozen.

    Raises DataError where the encoder is not found, or weights do not fit.
    """
    encoders: dict[str, Encoder] = {}
    for name, description in input_models(header).items():
        encoder = registry.build(description)
        if not isinstance(encoder, Given):
            if run is None:
                encoder = _parent(model, header, tensors, device)
            elif header.adapters is not None:
                encoder = checkpoints.adapted(
                    _parent(model, header, tensors, device), header.adapters, tensors, model,
                    f"runs.{run}.adapters.",
                )  # fmt: skip
            else:
                prefix = f"runs.{run}.encoder."
                encoder = checkpoint.build(description, tensors, model, prefix)
            encoder = read_layers(encoder, header.layers)
        encoders[name] = encoder.to(device).eval()
    return Inputs(encoders, either=bool(modalities(header)))


def _parent(
    model: Path, header: ClassifierHeader, tensors: dict[str, Tensor], device: torch.device
) -> Encoder:
    """The encoder that all runs share: of a bundle in its file, otherwise found by reference."""
    held = None if header.bundle is None else header.bundle.encoder
    if held is not None:
        encoder = checkpoint.build(held.model, tensors, model, ENCODER_PREFIX)
        return encoder.to(device).eval()
    return checkpoints.load_encoder(encoder_of(model, header), device)[0]
