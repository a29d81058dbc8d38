"""Headers of checkpoints as dataclasses, one file a kind; see avaffect-checkpoint(5)."""

from avaffect.core.headers.checkpoint import CheckpointHeader, labelled_speakers, read, typed
from avaffect.core.headers.classifier import (
    ClassifierHeader,
    Run,
    RunHeader,
    SeenPart,
    SeenUtterances,
    TraceOutputs,
)
from avaffect.core.headers.encoder import EncoderHeader, Input, Prediction, Published

__all__ = [
    "CheckpointHeader",
    "ClassifierHeader",
    "EncoderHeader",
    "Input",
    "Prediction",
    "Published",
    "Run",
    "RunHeader",
    "SeenPart",
    "SeenUtterances",
    "TraceOutputs",
    "labelled_speakers",
    "read",
    "typed",
]
