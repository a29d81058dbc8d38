"""From the name and configuration in a checkpoint's header to an (untrained) module.

A package adds an encoder through an entry point of the group "avaffect.encoders" that names a
`core.registry.Part`: the dataclass of its configuration, and an `encoder.Encoder` that is made of
it and keeps it as `configuration`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from avaffect.core.errors import DataError
from avaffect.core.registry import Description, Registry

if TYPE_CHECKING:
    from torch import nn

ENCODERS = Registry("encoder", "avaffect.encoders", DataError)
for _name, _module, _class, _configuration in (
    ("hubert", "hubert", "Hubert", "HubertConfiguration"),
    ("avhubert", "avhubert", "AVHubert", "AVHubertConfiguration"),
    ("whisper", "whisper", "Whisper", "WhisperConfiguration"),
    ("recurrent", "recurrent", "RecurrentEncoder", "RecurrentConfiguration"),
    ("contrastive", "contrastive", "ContrastiveEncoder", "ContrastiveConfiguration"),
    ("pase", "pase", "PaseEncoder", "PaseConfiguration"),
    ("visual", "visual", "VisualEncoder", "VisualConfiguration"),
    ("features", "given", "GivenFeatures", "GivenFeaturesConfiguration"),
):
    _place = f"avaffect.models.{_module}"
    ENCODERS.register(_name, f"{_place}:{_configuration}", f"{_place}:{_class}")

# What stands on an encoder, beside the heads that `finetune` may choose of.
PARTS = Registry("model", None, DataError)
for _name, _place in (
    ("quantiser", "quantiser:Quantiser"),
    ("projector", "heads.projector:Projector"),
    ("head", "heads.dense:Head"),
    ("prediction_head", "heads.units:PredictionHead"),
    ("label_head", "heads.labels:LabelHead"),
):
    PARTS.register(_name, f"avaffect.models.{_place}Configuration", f"avaffect.models.{_place}")


def describe(module: nn.Module) -> Description:
    """{"name": ..., "configuration": {...}}, JSON-able, from which `build` makes its like.

    Raises KeyError for a module that no checkpoint can hold.
    """
    try:
        return PARTS.describe(module)
    except KeyError:
        return ENCODERS.describe(module)


def build(description: Description) -> Any:
    """The module of a description, with fresh weights.

    Raises DataError where the name or a setting is unknown to this version.
    """
    owned = PARTS.owns(str(description.get("name")))
    return (PARTS if owned else ENCODERS).build(description)
