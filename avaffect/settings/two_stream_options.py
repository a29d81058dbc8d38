"""Options of heads on an acoustic and a visual stream, and how their inputs are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from avaffect.core.errors import UsageError
from avaffect.settings.base import option
from avaffect.settings.feature_stores import RESERVED

AUDIO, VIDEO, AV = MODALITIES = ("audio", "video", "av")
# Parts of VAVL that its ablations leave out, as --without spells them.
PARTS = ("residual", "reconstruction", "av-head")


def modalities_of(names: Sequence[str]) -> dict[str, str]:
    """Modality -> name of its input, audio first: the inputs called audio and video, and an
    encoder in the place of one of them.

    Raises UsageError for other inputs, and without both.
    """
    found = {name: name for name in names if name in (AUDIO, VIDEO)}
    lacking = [modality for modality in (AUDIO, VIDEO) if modality not in found]
    if RESERVED in names and len(lacking) == 1:
        found[lacking.pop()] = RESERVED
    if lacking or len(found) < len(names):
        raise UsageError(
            "the head reads an acoustic and a visual stream: give --features audio=A.h5 and "
            "--features video=V.h5, or one of them beside --encoder, which is the other "
            f"(given: {', '.join(names) or 'none'})"
        )
    return {modality: found[modality] for modality in (AUDIO, VIDEO)}


@dataclass(frozen=True)
class TwoStreamOptions:
    """Options of a head on two streams (`models.heads.two_streams`).

    kinds: of the labels that it learns; learning_rate: its default, None: that of any head.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class", "distribution", "scalar")
    learning_rate: ClassVar[float | None] = None


def _layers(default: int, of: str) -> Any:
    return option(default, f"Conformer layers of {of}.", at_least=1)


@dataclass(frozen=True)
class ConformerOptions:
    """Of conformers, and of dense layers on them. Raises UsageError for sizes that do not fit."""

    projection: int = option(50, "Size that frames are projected to at first.", at_least=1)
    hidden: int = option(512, "Size of the conformers' frames.", at_least=1)
    attention_heads: int = option(8, "Heads of the attention, which divide hidden.", at_least=1)
    kernel: int = option(31, "Frames that the convolution spans, an odd number.", at_least=1)
    dropout: float = option(0.1, "Dropout probability in the conformers.", at_least=0, below=1)
    dense_dropout: float = option(
        0.2, "Dropout probability between dense layers.", at_least=0, below=1
    )

    def __post_init__(self) -> None:
        check_heads("attention_heads", self.attention_heads, "hidden", self.hidden)
        if self.kernel % 2 == 0:
            raise UsageError(
                f"--head-option kernel={self.kernel}: an even number, and the convolution is "
                "centred on a frame"
            )


def check_heads(option: str, heads: int, sizes: str, size: int) -> None:
    """Raises UsageError where the heads of an attention do not divide the size of a frame."""
    if size % heads:
        raise UsageError(
            f"--head-option {option}={heads} does not divide {sizes}={size}: the heads of the "
            "attention share the numbers of a frame"
        )


@dataclass(frozen=True)
class VAVLOptions(ConformerOptions, TwoStreamOptions):
    """reconstruction_weight None: 2 with classes or votes, 1 without (paper, section 4.3)."""

    learning_rate: ClassVar[float | None] = 5e-5

    units: int = option(256, "Units of the second dense layer of each prediction.", at_least=1)
    audio_layers: int = _layers(3, "the acoustic stream")
    video_layers: int = _layers(3, "the visual stream")
    shared_layers: int = _layers(2, "both streams")
    reconstruction_weight: float | None = option(
        None, "Weight of the reconstruction loss. Default: 2, of scalars alone 1.", at_least=0
    )
    residual: bool = option(True, "Residual connection over the shared layers.")
    reconstruction: bool = option(True, "Reconstruction of the mean of each stream.")
    av_head: bool = option(
        True, "Audiovisual prediction. Otherwise the mean of the acoustic and the visual one."
    )
