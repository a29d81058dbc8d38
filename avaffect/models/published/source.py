"""A file of published weights and its conversion: shared by the families."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from avaffect.core.errors import DataError
from avaffect.models.encoder import Encoder
from avaffect.models.heads.labels import LabelHead
from avaffect.models.heads.units import PredictionHead
from avaffect.models.published.names import Layout

Warn = Callable[[str], None]
"""Reports a message to the user."""


@dataclass(frozen=True)
class Source:
    """tensors       name -> tensor, as in the file
    settings      fairseq's cfg or args, Whisper's dims, or config.json; {} where there is none
    preprocessor  transformers' preparation of audio; {} where it is not given
    dictionaries  fairseq's: the symbol of each row of the prediction head, for each set of units
    assignments   NAME=VALUE of the user, which override the settings
    """

    tensors: Mapping[str, Tensor]
    settings: Mapping[str, Any] = field(default_factory=dict)
    preprocessor: Mapping[str, Any] = field(default_factory=dict)
    dictionaries: Sequence[Sequence[str]] = ()
    assignments: Sequence[str] = ()

    @property
    def model_type(self) -> str:
        """The model's name in the settings: transformers' model_type, or fairseq's name; or ""."""
        model = self.settings.get("model")
        of_fairseq = model.get("_name", "") if isinstance(model, Mapping) else ""
        return str(self.settings.get("model_type") or of_fairseq)


@dataclass(frozen=True)
class Pretext:
    """A pre-training that can go on: the objective's name and configuration, as registered, and
    names in its state -> weights, all but the encoder's."""

    name: str
    configuration: Mapping[str, Any]
    weights: Mapping[str, Tensor]


@dataclass
class Converted:
    """encoder  with its weights
    layout   of the names that these had
    head     that predicts units, the rows of units first; None where there is none, or the order of
             its rows is unknown
    units    their number
    masking  of the pre-training, as far as the settings have it: fields of objectives' Masking
    left     names of weights on top of the encoder, which are left out
    pretext  the pre-training, where it is no prediction of units
    """

    encoder: Encoder
    layout: Layout
    head: PredictionHead | None
    units: int
    masking: dict[str, Any]
    left: list[str]
    pretext: Pretext | None = None


@dataclass
class ConvertedHead:
    """A published classifier on features, whose front-ends are models of their own.

    head     with its weights
    layout   of the names that these had
    classes  label -> its classes, in the order of the outputs
    left     names of weights that the published program never reads
    """

    head: LabelHead
    layout: Layout
    classes: Mapping[str, Sequence[str]]
    left: list[str]


class Family(Protocol):
    """A published model; a module is one. TITLE: the authors' name for it."""

    TITLE: str

    def recognise(self, source: Source) -> bool | None:
        """Whether it is of this family: False where it cannot be, None where that is unknown."""

    def convert(self, source: Source, warn: Warn) -> Converted | ConvertedHead:
        """Raises DataError, `Unfit` among them, where it is no whole model of this family."""


class Unfit(DataError):
    """Weights that are not those of the model. faults: fault -> names of weights."""

    def __init__(self, faults: Mapping[str, Sequence[str]]) -> None:
        self.faults = {what: names for what, names in faults.items() if names}
        super().__init__(", ".join(f"{len(names)} {what}" for what, names in self.faults.items()))
