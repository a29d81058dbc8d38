"""Headers of classifiers: heads on an encoder, of one run or several."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from avaffect.core.headers.bundle import Bundle, Recordings
from avaffect.core.headers.checkpoint import CheckpointHeader
from avaffect.core.headers.encoder import Input
from avaffect.core.record import Record, nullable
from avaffect.core.registry import Description


@dataclass(frozen=True, kw_only=True)
class Run(Record):
    """run: its number; the runs of all folds of one seed bear one. fold: the one that it tests,
    None without folds. metrics: of its training. unlearned: of a head on two streams, label -> the
    modalities that no training utterance showed it with; None where there are none, of other heads,
    and in files of earlier versions."""

    run: int
    seed: int = 0
    fold: int | None = nullable()
    metrics: dict[str, Any]
    unlearned: dict[str, tuple[str, ...]] | None = None


@dataclass(frozen=True, kw_only=True)
class SeenPart(Record):
    """runs: places in the header's runs. training, development: what they trained on, and chose
    their epoch by: masks over `SeenUtterances.utterances` (numpy.packbits, hexadecimal)."""

    runs: tuple[int, ...]
    training: str
    development: str


@dataclass(frozen=True, kw_only=True)
class SeenUtterances(Record):
    """utterances: ids of all that any run has seen. speakers: theirs, in the same order, "" where
    unknown. lineage: speakers whose labels the encoder has seen."""

    utterances: tuple[str, ...]
    speakers: tuple[str, ...]
    lineage: tuple[str, ...]
    parts: tuple[SeenPart, ...]


@dataclass(frozen=True, kw_only=True)
class TraceOutputs(Record):
    """The traces that a head gives: names in the order of its outputs, steps a second, by how many
    seconds predictions stand late, in windows of how many seconds long recordings are predicted
    (None: the default), and the loss of each: name -> {loss: weight}."""

    names: tuple[str, ...]
    rate_hz: float
    delay_s: float = 0.0
    window_s: float | None = None
    losses: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Adapters(Record):
    """Low-rank adapters of an encoder: of the rank and alpha of LoRA, at linear layers of it, by
    name."""

    rank: int
    alpha: float
    modules: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ReadLayers(Record):
    """What a head reads of its encoder in place of the output: a layer; or, where it is None, all
    layers, whose weighted sum is a part of the head. normalised: each frame of each layer to mean 0
    and variance 1 before."""

    layer: int | None = nullable()
    normalised: bool = False


@dataclass(frozen=True, kw_only=True)
class ClassifierHeader(CheckpointHeader):
    """model          of the head; encoder: of the encoder beneath it
    inputs         all that the head reads, by name; None in files of version 0.1: the encoder alone
    features       named features among them -> how they were made; None without
    layers         layers of the encoder that the head reads; None: its output
    mode           frozen, fine-tuned, lora or scratch
    adapters       of the mode lora, whose runs hold adapters in the place of an encoder
    classes        --classes of the training
    preprocessing  what the encoder reads, as it was trained
    recordings     how its streams were made of recordings; None where it reads features, and in
                   files of earlier versions
    bundle         what a bundle holds beside the heads; None of a classifier that is none
    seen           None in a file of version 1.0
    labels         class label -> classes in the order of the outputs
    distributions  label of votes -> classes, likewise
    scalars        names of labels that are numbers
    traces         labels over time
    Each is None where the head gives no label of that kind.
    """

    kind: ClassVar[str] = "classifier"

    encoder: Description
    inputs: dict[str, Description] | None = None
    features: dict[str, dict[str, Any]] | None = None
    layers: ReadLayers | None = None
    mode: str
    adapters: Adapters | None = None
    classes: str | None = nullable()
    preprocessing: Input
    runs: tuple[Run, ...]
    seen: SeenUtterances | None = None
    labels: dict[str, tuple[str, ...]] | None = None
    distributions: dict[str, tuple[str, ...]] | None = None
    scalars: tuple[str, ...] | None = None
    traces: TraceOutputs | None = None
    recordings: Recordings | None = None
    bundle: Bundle | None = None

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams that it reads."""
        return self.preprocessing.streams or ()

    @property
    def of_folds(self) -> bool:
        """Whether each run tests a fold."""
        return any(run.fold is not None for run in self.runs)

    @property
    def run_count(self) -> int:
        """Predictions that each utterance gets: the folds of one seed are one run."""
        return len({run.run for run in self.runs})


@dataclass(frozen=True, kw_only=True)
class RunHeader(CheckpointHeader):
    """Of the weights of one run, in the state folder of a training that goes on."""

    kind: ClassVar[str] = "run"

    def to_dict(self) -> dict[str, Any]:
        """Without where it came from, which the state's folder knows."""
        return {"model": self.model, "metrics": self.metrics}
