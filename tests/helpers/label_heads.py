"""Heads of tests: on one input, the encoder, for labels or by themselves."""

from __future__ import annotations

from avaffect.models.encoder import Encoder, Frames
from avaffect.models.heads.base import FrameHead, HeadInput
from avaffect.models.heads.labels import LabelHead, Readout
from avaffect.models.heads.linear import LinearHead, LinearHeadConfiguration
from avaffect.models.heads.recurrent import RecurrentHead, RecurrentHeadConfiguration
from avaffect.models.inputs import ENCODER, Inputs

NAME = ENCODER
RATE = 10.0


def reads(dim: int, rate_hz: float = RATE) -> tuple[HeadInput, ...]:
    return (HeadInput(NAME, dim, rate_hz),)


def linear(dim: int, outputs: int, **options: object) -> LinearHead:
    return LinearHead(LinearHeadConfiguration(reads(dim), outputs, **options))


def recurrent(dim: int, outputs: int, *sizes: int, **options: object) -> RecurrentHead:
    return RecurrentHead(RecurrentHeadConfiguration(reads(dim), outputs, *sizes, **options))


def of_class(head: FrameHead, name: str = "emotion") -> LabelHead:
    """Every output scores a class."""
    return LabelHead.of(head, (Readout(name, "class", classes=head.outputs),))


def of_traces(head: FrameHead) -> LabelHead:
    """Every output is the value of a trace."""
    names = [f"trace{number}" for number in range(head.outputs)]
    return LabelHead.of(head, tuple(Readout(name, "trace", value=True) for name in names))


def inputs_of(encoder: Encoder) -> Inputs:
    return Inputs({NAME: encoder})


def named(frames: Frames) -> dict[str, Frames]:
    return {NAME: frames}
