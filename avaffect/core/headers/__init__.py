"""Headers of checkpoints as dataclasses, one file a kind; see avaffect-checkpoint(5)."""

from avaffect.core.headers.checkpoint import (
    CheckpointHeader,
    labelled_speakers,
    read,
    read_any,
    typed,
)
from avaffect.core.headers.classifier import (
    ClassifierHeader,
    Run,
    RunHeader,
    SeenPart,
    SeenUtterances,
    TraceOutputs,
)
from avaffect.core.headers.encoder import (
    EncoderHeader,
    Input,
    KeptObjective,
    Prediction,
    Published,
)
from avaffect.core.headers.projector import Normalisation, Projected, ProjectorHeader
from avaffect.core.headers.quantiser import Clustered, QuantiserHeader

__all__ = [
    "CheckpointHeader",
    "ClassifierHeader",
    "Clustered",
    "EncoderHeader",
    "Input",
    "KeptObjective",
    "Normalisation",
    "Prediction",
    "Projected",
    "ProjectorHeader",
    "Published",
    "QuantiserHeader",
    "Run",
    "RunHeader",
    "SeenPart",
    "SeenUtterances",
    "TraceOutputs",
    "labelled_speakers",
    "read",
    "read_any",
    "typed",
]
