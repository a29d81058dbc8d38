"""Models by name: an untrained module from the name and configuration in a checkpoint's header.

A package adds an encoder through an entry point of the group "avaffect.encoders", a
`core.registry.Part`: the dataclass of its configuration, and a subclass of `encoder.Encoder` that
is constructed from it and keeps it as `configuration`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from avaffect.core.errors import DataError
from avaffect.core.registry import Description, Registry

if TYPE_CHECKING:
    from torch import nn

# Of any model.
MOST_NUMBERS = 1 << 34
MOST_TENSORS = 100_000
# Of one dimension, or of layers.
MOST_OF_ONE = 1 << 26

ENCODERS = Registry("encoder", "avaffect.encoders", DataError)
for _name, _module, _class, _configuration in (
    ("hubert", "hubert", "Hubert", "HubertConfiguration"),
    ("avhubert", "avhubert", "AVHubert", "AVHubertConfiguration"),
    ("whisper", "whisper", "Whisper", "WhisperConfiguration"),
    ("recurrent", "recurrent", "RecurrentEncoder", "RecurrentConfiguration"),
    ("contrastive", "contrastive", "ContrastiveEncoder", "ContrastiveConfiguration"),
    ("pase", "pase", "PaseEncoder", "PaseConfiguration"),
    ("visual", "visual", "VisualEncoder", "VisualConfiguration"),
    ("cavmae", "cavmae", "CAVMAE", "CAVMAEConfiguration"),
    ("efficientnet", "efficientnet", "EfficientNet", "EfficientNetConfiguration"),
    ("features", "given", "GivenFeatures", "GivenFeaturesConfiguration"),
    ("vectors", "given", "GivenVectors", "GivenVectorsConfiguration"),
):
    _place = f"avaffect.models.{_module}"
    ENCODERS.register(_name, f"{_place}:{_configuration}", f"{_place}:{_class}")

# Parts on an encoder, besides the heads of `finetune`.
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
    """{"name": ..., "configuration": {...}} in JSON values, for `build`.

    Raises KeyError for a module that is not registered.
    """
    try:
        return PARTS.describe(module)
    except KeyError:
        return ENCODERS.describe(module)


def build(description: Description) -> Any:
    """The module of a description, with new weights.

    Raises DataError if the name or a setting is unknown to this version, or if it is larger than
    any model.
    """
    from avaffect.models.outline import Bounded

    owned = PARTS.owns(str(description.get("name")))
    _check_sizes(description.get("configuration"))
    with Bounded(MOST_NUMBERS, MOST_TENSORS):
        return (PARTS if owned else ENCODERS).build(description)


def _check_sizes(configuration: Any) -> None:
    """Raises DataError where a whole number in a configuration is beyond that of any model."""
    if isinstance(configuration, (dict, list)):
        values = configuration.values() if isinstance(configuration, dict) else configuration
        for value in values:
            _check_sizes(value)
    elif isinstance(configuration, int) and abs(configuration) > MOST_OF_ONE:
        raise DataError(f"the header describes a model with a size of {configuration}")
