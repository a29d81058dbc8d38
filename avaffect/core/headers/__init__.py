"""Headers of artifacts as dataclasses, one file a kind; see avaffect-checkpoint(5),
avaffect-manifest(5) and avaffect-store(5)."""

from avaffect.core.headers.bundle import (
    Bundle,
    FaceCrops,
    HeldEncoder,
    HeldOutScores,
    Recordings,
    TrainedOn,
)
from avaffect.core.headers.checkpoint import (
    CheckpointHeader,
    labelled_speakers,
    read,
    read_any,
    typed,
)
from avaffect.core.headers.classifier import (
    Adapters,
    ClassifierHeader,
    ReadLayers,
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
from avaffect.core.headers.kinds import read_named
from avaffect.core.headers.manifest import ManifestHeader
from avaffect.core.headers.projector import Normalisation, Projected, ProjectorHeader
from avaffect.core.headers.quantiser import Clustered, QuantiserHeader
from avaffect.core.headers.store import StoreHeader

__all__ = [
    "Adapters",
    "Bundle",
    "CheckpointHeader",
    "ClassifierHeader",
    "Clustered",
    "EncoderHeader",
    "FaceCrops",
    "HeldEncoder",
    "HeldOutScores",
    "Input",
    "KeptObjective",
    "ManifestHeader",
    "Normalisation",
    "Prediction",
    "Projected",
    "ProjectorHeader",
    "Published",
    "QuantiserHeader",
    "ReadLayers",
    "Recordings",
    "Run",
    "RunHeader",
    "SeenPart",
    "SeenUtterances",
    "StoreHeader",
    "TraceOutputs",
    "TrainedOn",
    "labelled_speakers",
    "read",
    "read_any",
    "read_named",
    "typed",
]
