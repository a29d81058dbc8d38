"""What a classifier knows of recordings, and what a bundle holds beside its heads."""

from __future__ import annotations

from dataclasses import dataclass

from avaffect.core.record import Record
from avaffect.core.registry import Description


@dataclass(frozen=True, kw_only=True)
class FaceCrops(Record):
    """How the faces were found and cropped: the options of `preprocess`.

    model  content id of the detector's weights, and model_file their path from the store; None
           where it has no file
    """

    detector: str
    size: int
    color: str
    fps: float
    margin: float | None = None
    face: str | None = None
    align: bool = False
    model: str | None = None
    model_file: str | None = None
    width: int | None = None
    fit: str | None = None


@dataclass(frozen=True, kw_only=True)
class Recordings(Record):
    """How recordings became the streams that a classifier reads: the options of `preprocess`.

    faces  None where it reads none
    """

    faces: FaceCrops | None = None
    keep_silent: bool = False
    channels: str | None = None
    audio_track: int | None = None


@dataclass(frozen=True, kw_only=True)
class HeldEncoder(Record):
    """The encoder beneath all heads, whose weights are in the file (`bundle.encoder.`).

    content_id: of its own file
    """

    content_id: str
    model: Description


@dataclass(frozen=True, kw_only=True)
class TrainedOn(Record):
    """A corpus, or a store that does not name its own: how many of its utterances and speakers a
    run has seen in training or development; None where the store was not found."""

    name: str
    utterances: int | None = None
    speakers: int | None = None


@dataclass(frozen=True, kw_only=True)
class HeldOutScores(Record):
    """A report of eval-class or eval-ccc, by the name of its file: means over its runs. seen: how
    many of its utterances were used in training, by status; None where that is not recorded."""

    name: str
    content: str
    runs: int
    scores: dict[str, float]
    seen: dict[str, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Bundle(Record):
    """encoder     None where each run has its own, or there is none
    face_model  whether the weights of the face detector are in the file (`bundle.face_model`)
    corpora     what it was trained on
    scores      of held-out utterances
    """

    encoder: HeldEncoder | None = None
    face_model: bool = False
    corpora: tuple[TrainedOn, ...] = ()
    scores: tuple[HeldOutScores, ...] = ()
