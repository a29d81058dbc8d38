"""From the name and configuration in a checkpoint's header to an (untrained) module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from torch import nn

from avaffect.core.errors import DataError
from avaffect.models.avhubert import AVHubert, AVHubertConfiguration
from avaffect.models.contrastive import ContrastiveConfiguration, ContrastiveEncoder
from avaffect.models.given import GivenFeatures, GivenFeaturesConfiguration
from avaffect.models.heads.attentive import (
    Head,
    HeadConfiguration,
    PredictionHead,
    PredictionHeadConfiguration,
    Projector,
    ProjectorConfiguration,
)
from avaffect.models.heads.recurrent import RecurrentHead, RecurrentHeadConfiguration
from avaffect.models.heads.trace import TraceHead, TraceHeadConfiguration
from avaffect.models.hubert import Hubert, HubertConfiguration
from avaffect.models.pase import PaseConfiguration, PaseEncoder
from avaffect.models.quantiser import Quantiser, QuantiserConfiguration
from avaffect.models.recurrent import RecurrentConfiguration, RecurrentEncoder
from avaffect.models.visual import VisualConfiguration, VisualEncoder

Description = dict[str, Any]

_BUILDERS: dict[str, Callable[[Description], nn.Module]] = {
    "hubert": lambda c: Hubert(HubertConfiguration.from_dict(c)),
    "avhubert": lambda c: AVHubert(AVHubertConfiguration.from_dict(c)),
    "recurrent": lambda c: RecurrentEncoder(RecurrentConfiguration.from_dict(c)),
    "contrastive": lambda c: ContrastiveEncoder(ContrastiveConfiguration(**c)),
    "pase": lambda c: PaseEncoder(PaseConfiguration.from_dict(c)),
    "visual": lambda c: VisualEncoder(VisualConfiguration(**c)),
    "features": lambda c: GivenFeatures(GivenFeaturesConfiguration(**c)),
    "quantiser": lambda c: Quantiser(QuantiserConfiguration(**c)),
    "projector": lambda c: Projector(ProjectorConfiguration(**c)),
    "head": lambda c: Head(HeadConfiguration(**c)),
    "recurrent_head": lambda c: RecurrentHead(RecurrentHeadConfiguration(**c)),
    "trace_head": lambda c: TraceHead(TraceHeadConfiguration.from_dict(c), build(c["head"])),
    "prediction_head": lambda c: PredictionHead(PredictionHeadConfiguration(**c)),
}

_NAMES = {
    Hubert: "hubert",
    AVHubert: "avhubert",
    RecurrentEncoder: "recurrent",
    ContrastiveEncoder: "contrastive",
    PaseEncoder: "pase",
    VisualEncoder: "visual",
    GivenFeatures: "features",
    Quantiser: "quantiser",
    Projector: "projector",
    Head: "head",
    RecurrentHead: "recurrent_head",
    TraceHead: "trace_head",
    PredictionHead: "prediction_head",
}


def describe(module: nn.Module) -> Description:
    """{"name": ..., "configuration": {...}}, JSON-able, from which `build` makes its like.

    Raises KeyError for a module that no checkpoint can hold.
    """
    return {"name": _NAMES[type(module)], "configuration": asdict(module.configuration)}


def build(description: Description) -> nn.Module:
    """The module of a description, with fresh weights.

    Raises DataError where the name or a setting is unknown to this version.
    """
    name = description.get("name")
    if name not in _BUILDERS:
        raise DataError(
            f"model {name!r} is unknown to this version (it knows {', '.join(_BUILDERS)})"
        )
    try:
        return _BUILDERS[name](description["configuration"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"the configuration of this {name} does not fit: {error}") from error
