"""Heads on an acoustic and a visual stream, either of which an utterance may lack.

What a new head of this kind implements (`models/heads/vavl.py` is one):

1. Its options, a subclass of `settings.two_stream_options.TwoStreamOptions`, and a line in
   `settings.head_options.OWN_HEADS`; its configuration, `class C(ItsOptions,
   TwoStreamConfiguration)`; a subclass of `TwoStreamHead`; a line in `models/heads/registry.py`.
2. `predictions(streams)`: the outputs of each modality that it can predict from: "audio", "video"
   and "av", (B, outputs) each. Rows of utterances that lack a stream are never read. `forward`,
   here, gives each utterance the prediction of what it has: av where it has both.
3. `lesson(streams, phase, generator)`: what a step of training learns from a batch: a `Reading`
   for each prediction that is compared with the labels, and losses of its own, name ->
   (sum, count). One phase, "main", unless it declares others. Draws (UAVM's modality of a batch,
   AuxFormer's modality dropout) come from `generator`. A phase that has nothing to learn from
   returns `Lesson()`: no weight is then touched.
4. Optionally `learns`, `weights` (of the readings by modality, of its own losses by name), `betas`
   (of Adam), and for several phases `phases`, `modules_of(phase)` and `modalities_of(phase)`.
5. `shared(streams)` if it has layers that both streams go through: an embedding of each.

`streams` has "audio" and "video" as `Frames`: standardised by the training part if the inputs are
frozen, zero in padding, at rates and widths of their own (`self.dims`), length 0 where an utterance
lacks the stream. `rows_of` picks utterances and cuts the padding that they do not need.
Labels, losses, accuracy, development scores, saved states, resuming, and `predict` need nothing
more: `objectives/two_streams.py` trains it, a phase after the other, each with an optimiser of its
own, on a batch that is read and encoded once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avaffect.core.errors import DataError
from avaffect.models.encoder import Encoded, Frames
from avaffect.models.heads.base import FrameHead, FrameHeadConfiguration, Outputs, present_of
from avaffect.models.standardisation import Standardisation
from avaffect.settings.two_stream_options import AUDIO, AV, MODALITIES, VIDEO, modalities_of

Streams = Mapping[str, Frames]


@dataclass(frozen=True)
class TwoStreamConfiguration(FrameHeadConfiguration):
    """standardise: the inputs are standardised first, by statistics that the head stores. Of two
    inputs, which is audio and which is video follows from their names."""

    standardise: bool = False


@dataclass
class Reading:
    """A prediction to learn from. outputs (n, outputs), of the utterances in rows (B,) bool."""

    outputs: Tensor
    rows: Tensor


@dataclass
class Lesson:
    """What a phase learns from a batch. readings: modality -> prediction; losses: name -> (sum,
    count), beside those of the labels."""

    readings: dict[str, Reading] = field(default_factory=dict)
    losses: dict[str, tuple[Tensor, Tensor | float]] = field(default_factory=dict)


class TwoStreamHead(FrameHead):
    """The contract; see the module.

    phases   names of the parts of a training step, in order
    learns   modalities of its readings; without av, that prediction needs no learning of its own
             once both others have learned
    trained  (3,) bool, of MODALITIES: those that training utterances had, av where one had both
    betas    of Adam
    weights  of a modality's losses of labels, and of the head's own losses; 1 by default
    """

    phases: tuple[str, ...] = ("main",)
    betas: tuple[float, float] = (0.9, 0.999)
    learns: tuple[str, ...] = MODALITIES
    trained: Tensor

    def __init__(self, configuration: TwoStreamConfiguration) -> None:
        c = configuration
        super().__init__(c.inputs, c.outputs)
        self.standardisation = Standardisation(c.dim) if c.standardise else None
        self.named = modalities_of([item.name for item in c.inputs])
        sizes = {item.name: item.dim for item in c.inputs}
        self.dims = {modality: sizes[name] for modality, name in self.named.items()}
        self.weights: dict[str, float] = {}
        self.register_buffer("trained", torch.zeros(len(MODALITIES), dtype=torch.bool))

    @property
    def untrained(self) -> tuple[str, ...]:
        """Modalities from which it would predict without having learned to."""
        known = dict(zip(MODALITIES, self.trained.tolist()))
        if AV not in self.learns:
            known[AV] = known[AUDIO] and known[VIDEO]
        return tuple(modality for modality in MODALITIES if not known[modality])

    def learn_from(self, streams: Streams) -> None:
        """Note what the utterances of a training batch have."""
        audio, video = (streams[m].present for m in (AUDIO, VIDEO))
        self.trained |= torch.stack([rows.any() for rows in (audio, video, audio & video)])

    def predictions(self, streams: Streams) -> dict[str, Tensor]:
        """Modality -> (B, outputs)"""
        raise NotImplementedError

    def lesson(self, streams: Streams, phase: str, generator: torch.Generator) -> Lesson:
        raise NotImplementedError

    def modules_of(self, phase: str) -> Sequence[nn.Module]:
        """Modules whose parameters a phase trains."""
        return [self]

    def modalities_of(self, phase: str) -> tuple[str, ...]:
        """Modalities whose encoders a phase trains too, where they are not frozen."""
        return (AUDIO, VIDEO)

    def shared(self, streams: Streams) -> dict[str, Tensor] | None:
        """audio and video -> (B, D) at the end of the layers that both go through; None without
        such layers."""
        return None

    @property
    def has_shared(self) -> bool:
        return type(self).shared is not TwoStreamHead.shared

    def distances(self, frames: Mapping[str, Encoded]) -> Tensor:
        """(B,) cosine distances, 0 to 2, of the two shared embeddings of each utterance (figure 2
        of VAVL); NaN where it lacks a stream. Raises DataError without shared layers."""
        streams = self.streams_of(frames)
        found = self.shared(streams)
        if found is None:
            raise DataError("the head has no layers that both streams go through")
        apart = 1 - F.cosine_similarity(found[AUDIO].float(), found[VIDEO].float(), dim=1)
        both = streams[AUDIO].present & streams[VIDEO].present
        return torch.where(both, apart, torch.nan)

    def forward(
        self, frames: Mapping[str, Encoded], present: Mapping[str, Tensor] | None = None
    ) -> Outputs:
        def utterance() -> Tensor:
            streams = self.streams_of(frames, present)
            found = self.predictions(streams)
            made_from = self.made_from(*(streams[m].present for m in (AUDIO, VIDEO)))
            outputs = torch.zeros_like(next(iter(found.values())))
            for modality, values in found.items():
                mine = made_from == MODALITIES.index(modality)
                outputs = torch.where(mine[:, None], values, outputs)
            return outputs.float()

        def over_time() -> Frames:
            raise DataError("the head predicts utterances, and nothing over time")

        return Outputs(utterance, over_time)

    @staticmethod
    def made_from(audio: Tensor, video: Tensor) -> Tensor:
        """(B,) int64 places in MODALITIES of what utterances with these streams, (B,) bool, are
        predicted from; -1 with neither."""
        places = {name: place for place, name in enumerate(MODALITIES)}
        found = torch.where(audio, places[AUDIO], -1)
        found = torch.where(video, places[VIDEO], found)
        return torch.where(audio & video, places[AV], found)

    def streams_of(
        self, frames: Mapping[str, Encoded], present: Mapping[str, Tensor] | None = None
    ) -> dict[str, Frames]:
        """audio and video, of the inputs that are given."""
        found = {}
        known = self.standardisation
        sizes = [item.dim for item in self.inputs]
        for place, item in enumerate(self.inputs):
            if item.name not in frames:
                continue
            own = frames[item.name]
            assert isinstance(own, Frames)
            values, lengths = own.values, own.lengths
            if present is not None:
                lengths = lengths * present_of(frames, item, present)
            if known is not None:
                mean, std = (part.split(sizes)[place] for part in (known.mean, known.std))
                values = (values - mean) / std
            whole = Frames(values, lengths)
            found[self._modality(item.name)] = Frames(values * whole.valid[..., None], lengths)
        return found

    def _modality(self, name: str) -> str:
        return next(modality for modality, own in self.named.items() if own == name)


def rows_of(frames: Frames, rows: Tensor) -> Frames:
    """The utterances in rows (B,) bool, without padding that none of them needs."""
    values, lengths = frames.values[rows], frames.lengths[rows]
    longest = int(lengths.max()) if len(lengths) else 0
    return Frames(values[:, :longest], lengths)


def placed(values: Tensor, rows: Tensor) -> Tensor:
    """values (n, D) of the utterances in rows (B,) bool -> (B, D), zero in the others."""
    found = values.new_zeros(len(rows), values.shape[1])
    return found.masked_scatter(rows[:, None].expand_as(found), values)


@contextlib.contextmanager
def unchanged(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Within it these are frozen: in evaluation mode, without gradients."""
    before = [module.training for module in modules]
    try:
        for module in modules:
            module.eval()
        with torch.no_grad():
            yield
    finally:
        for module, mode in zip(modules, before):
            module.train(mode)
