"""A file of published weights and its conversion: shared by the families."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from avaffect.core.errors import DataError
from avaffect.models.encoder import Encoder
from avaffect.models.heads.units import PredictionHead
from avaffect.models.published.names import Layout

Warn = Callable[[str], None]
"""Takes a sentence on what the user should know."""


@dataclass(frozen=True)
class Source:
    """tensors       name -> tensor, as they stand in the file
    settings      fairseq's cfg or args, Whisper's dims, or config.json; {} where there is none
    preprocessor  how transformers prepares sound; {} where nothing says so
    dictionaries  fairseq's: what each row of the prediction head stands for, for each set of units
    assignments   NAME=VALUE of the user, which override the settings
    """

    tensors: Mapping[str, Tensor]
    settings: Mapping[str, Any] = field(default_factory=dict)
    preprocessor: Mapping[str, Any] = field(default_factory=dict)
    dictionaries: Sequence[Sequence[str]] = ()
    assignments: Sequence[str] = ()

    @property
    def model_type(self) -> str:
        """What the settings call the model: transformers' model_type, or fairseq's name; or ""."""
        model = self.settings.get("model")
        of_fairseq = model.get("_name", "") if isinstance(model, Mapping) else ""
        return str(self.settings.get("model_type") or of_fairseq)


@dataclass
class Converted:
    """encoder  with its weights
    layout   of the names that these had
    head     that predicts units, the rows of units first; None where there is none, or its rows
             cannot be told from each other
    units    how many it tells apart
    masking  what the pre-training hid, as far as the settings say: fields of objectives' Masking
    left     names of what stands on top of the encoder, and is left out
    """

    encoder: Encoder
    layout: Layout
    head: PredictionHead | None
    units: int
    masking: dict[str, Any]
    left: list[str]


class Family(Protocol):
    """A published model; a module is one. TITLE: as its authors call it."""

    TITLE: str

    def recognise(self, source: Source) -> bool | None:
        """Whether it is of this family: False where it cannot be, None where nothing tells."""

    def convert(self, source: Source, warn: Warn) -> Converted:
        """Raises DataError, `Unfit` among them, where it is no whole model of this family."""


class Unfit(DataError):
    """Weights that are not those of the model. faults: what is wrong -> of which weights."""

    def __init__(self, faults: Mapping[str, Sequence[str]]) -> None:
        self.faults = {what: names for what, names in faults.items() if names}
        super().__init__(", ".join(f"{len(names)} {what}" for what, names in self.faults.items()))
