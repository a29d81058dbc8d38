"""Options of the heads that the VAVL paper compares with (section 4.5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from avaffect.core.errors import UsageError
from avaffect.settings.base import option
from avaffect.settings.two_stream_options import ConformerOptions, TwoStreamOptions, check_heads


def _width(default: int) -> Any:
    return option(default, "Size of a frame in the layers.", at_least=2)


def _heads(default: int) -> Any:
    return option(default, "Heads of the attention, which divide width.", at_least=1)


def _layers(default: int, of: str) -> Any:
    return option(default, f"Layers {of}.", at_least=1)


def _dropout(default: float, of: str) -> Any:
    return option(default, f"Dropout probability {of}.", at_least=0, below=1)


@dataclass(frozen=True)
class AttentionOptions(TwoStreamOptions):
    """Raises UsageError for sizes that do not fit."""

    width: int = _width(1024)
    heads: int = _heads(4)

    def __post_init__(self) -> None:
        check_heads("heads", self.heads, "width", self.width)


@dataclass(frozen=True)
class UAVMOptions(AttentionOptions):
    learning_rate: ClassVar[float | None] = 5e-5

    layers: int = _layers(3, "of each modality")
    shared_layers: int = _layers(3, "of both modalities")
    length: int = option(
        30, "Steps of a stream; of longer ones so many means are read.", at_least=1
    )
    dropout: float = _dropout(0.0, "of attention and in the layers")
    audio_share: float = option(
        0.5, "Probability that a batch of training reads the sound, not the faces.",
        above=0, below=1,
    )  # fmt: skip


@dataclass(frozen=True)
class CrossModalOptions(AttentionOptions):
    """Of both heads with cross-modal layers."""

    width: int = _width(50)
    heads: int = _heads(10)
    layers: int = _layers(5, "across modalities, and within one")
    dropout: float = _dropout(0.1, "of attention within a modality and in the layers")
    input_dropout: float = _dropout(0.25, "of the input of each group of layers")
    output_dropout: float = _dropout(0.2, "of the dense layers")


@dataclass(frozen=True)
class AuxFormerOptions(CrossModalOptions):
    learning_rate: ClassVar[float | None] = 7.25e-4

    modality_dropout: float = option(
        0.2, "Probability that a batch of training lacks the sound, and as much that it lacks the "
        "faces.", at_least=0, at_most=0.5,
    )  # fmt: skip


@dataclass(frozen=True)
class MulTOptions(CrossModalOptions):
    learning_rate: ClassVar[float | None] = 1e-3

    width: int = _width(30)
    heads: int = _heads(5)
    output_dropout: float = _dropout(0.0, "of the dense layers")


@dataclass(frozen=True)
class UnimodalOptions(ConformerOptions):
    """Of a head on one stream. learning_rate: as of heads on two."""

    learning_rate: ClassVar[float | None] = 5e-5

    layers: int = _layers(5, "of conformers")
    units: int = option(256, "Units of the first of two dense layers.", at_least=1)


def check_one_stream(names: Sequence[str]) -> None:
    """Raises UsageError for several inputs."""
    if len(names) > 1:
        raise UsageError(
            f"the head unimodal reads one stream (given: {', '.join(names)}); --head vavl, uavm, "
            "auxformer and mult read two"
        )
