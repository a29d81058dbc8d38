"""Objectives by name: built from the configuration in a checkpoint around an encoder, and the names
of their weights in a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from avaffect.core.errors import DataError
from avaffect.core.registry import Registry
from avaffect.models.encoder import Encoder
from avaffect.objectives.base import Pretraining

OBJECTIVES = Registry("objective", "avaffect.objectives", DataError)
"""Classes made of (encoder, configuration)."""

for _name, _module, _class in (
    ("masked_prediction", "masked_prediction", "MaskedPrediction"),
    ("odd_one_out", "odd_one_out", "OddOneOut"),
    ("autoregressive_prediction", "autoregressive", "AutoregressivePrediction"),
    ("contrastive_prediction", "contrastive_prediction", "ContrastivePrediction"),
    ("problem_agnostic", "problem_agnostic", "ProblemAgnostic"),
    ("face_reconstruction", "face_reconstruction", "FaceReconstruction"),
    ("acoustic_prediction", "lira", "AcousticPrediction"),
    ("masked_autoencoding", "masked_autoencoding", "MaskedAutoencoding"),
    ("bootstrap", "bootstrap", "Bootstrap"),
    ("self_distillation", "distillation", "Distillation"),
):
    _place = f"avaffect.objectives.{_module}:{_class}"
    OBJECTIVES.register(_name, f"{_place}Configuration", _place)


def describe(objective: Pretraining) -> dict[str, Any]:
    """{"name", "configuration", "streams"}; `build` takes the first two.

    streams: those that it reads besides the encoder's, for readers that do not build it. Raises
    KeyError for an objective that is not registered.
    """
    return {**OBJECTIVES.describe(objective), "streams": tuple(sorted(objective.needs.streams))}


def build(name: str, configuration: Mapping[str, Any], encoder: Encoder) -> Pretraining:
    """The objective of this name around an encoder, with heads with new weights.

    Raises DataError if the name is unknown, or the configuration does not fit the objective or the
    encoder.
    """
    return OBJECTIVES.build({"name": name, "configuration": dict(configuration)}, encoder)


def kept_names(objective: Pretraining) -> dict[str, str]:
    """Names in its state dict without the encoder's -> their names in a checkpoint."""
    # An encoder may have several names there, as an objective within an objective shares it.
    inside = tuple(
        f"{name}."
        for name, module in objective.named_modules(remove_duplicate=False)
        if module is objective.encoder
    )
    own, kept = objective.kept_as
    return {
        name: kept + name.removeprefix(own)
        for name in objective.state_dict()
        if not name.startswith(inside)
    }


def kept_weights(objective: Pretraining) -> dict[str, Tensor]:
    """The weights of the objective besides the encoder's, under their names in a checkpoint."""
    state = objective.state_dict()
    return {kept: state[own] for own, kept in kept_names(objective).items()}
