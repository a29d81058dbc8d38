"""A classifier's runs, built from its file: which of them predict which utterances."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avaffect.core.errors import DataError
from avaffect.core.headers import ClassifierHeader
from avaffect.data import artifacts
from avaffect.models import registry
from avaffect.models.encoder import Encoder
from avaffect.models.given import GivenFeatures
from avaffect.recipes.downstream.heads import AnyHead
from avaffect.recipes.encoding import checkpoints
from avaffect.training import checkpoint


@dataclass(frozen=True)
class Pass:
    """Heads that one encoder serves at once, and the utterances (indices) that they predict."""

    encoder: Encoder
    heads: list[AnyHead]
    numbers: list[int]
    rows: np.ndarray


def passes_of(
    model: Path,
    header: ClassifierHeader,
    tensors: dict[str, Tensor],
    folds: Sequence[str],
    device: torch.device,
) -> Iterator[Pass]:
    """All runs of the classifier at `model`; those of a frozen encoder that predict the same
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
    frozen = _frozen_encoder(model, header, device) if header.mode == "frozen" else None
    of_utterances = np.array(folds, dtype=object)
    for fold, numbers in by_fold.items():
        everyone = np.ones(len(folds), dtype=bool)
        rows = np.flatnonzero(everyone if fold is None else of_utterances == str(fold))
        together = [numbers] if frozen is not None else [[number] for number in numbers]
        for group in together if len(rows) else ():
            heads = []
            for number in group:
                prefix = f"runs.{number}."
                head = checkpoint.build(header.model, tensors, model, prefix + "head.")
                heads.append(head.to(device).eval())
            encoder = frozen
            if encoder is None:
                encoder = checkpoint.build(
                    header.encoder, tensors, model, f"runs.{group[0]}.encoder."
                )
                encoder.to(device).eval()
            yield Pass(encoder, heads, group, rows)


def _frozen_encoder(model: Path, header: ClassifierHeader, device: torch.device) -> Encoder:
    """The parent, found by reference; features that are given have none."""
    parents = header.parents("encoder")
    if not parents:
        encoder = registry.build(header.encoder)
        if not isinstance(encoder, GivenFeatures):
            raise DataError(f"{model} does not say which encoder is under its head")
        return encoder.eval()
    return checkpoints.load_encoder(artifacts.locate_parent(parents[0], model), device)[0]
