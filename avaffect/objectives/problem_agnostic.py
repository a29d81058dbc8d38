"""PASE's pre-training (Pascual et al. 2019): workers that solve tasks from the same frames."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.core.streams import WAVEFORM
from avaffect.models.encoder import Encoder, FrameEncoder, Frames, in_time
from avaffect.models.workers import Regressor, Worker, WorkerConfiguration
from avaffect.objectives.base import Context, Needs, Pretraining, Step
from avaffect.objectives.information_maximisation import (
    SHORTEST_CHUNK,
    global_step,
    global_usable,
    local_step,
    local_usable,
)
from avaffect.settings.pretrain_pase import WORKERS
from avaffect.signal import ranks
from avaffect.signal.acoustic_targets import SIZES, acoustic_targets
from avaffect.signal.features import HOP, WINDOW, unit_scale

FEWEST_FRAMES = 2 * SHORTEST_CHUNK
GATHERED = 1000
"""Number of utterances, at the start of training, whose statistics standardise all targets."""

_DISCRIMINATORS = {"lim": (local_step, local_usable), "gim": (global_step, global_usable)}


@dataclass(frozen=True)
class ProblemAgnosticConfiguration:
    """workers  their names"""

    workers: tuple[str, ...] = WORKERS


class ProblemAgnostic(Pretraining):
    """The mean of the workers' losses, each under its own name.

    lps, mfcc, fbank, prosody   mean squared error of the standardised `acoustic_targets`
    waveform   mean absolute error of the 160 standardised samples in the middle of a frame
    lim        whether two frames are of one utterance
    gim        whether two chunks of a second are, by the means of their frames

    Targets are standardised by the mean and deviation of each dimension over the first 1,000
    training utterances (until then, over those so far), which are kept in buffers. The metric
    "workers" is the mean of a batch's losses, which is optimised. Utterances that are too short for
    a task are not used in it, nor is a batch of one utterance in lim and gim.
    """

    loss = "workers"
    encoder: FrameEncoder
    gathered: Tensor

    def __init__(
        self, encoder: Encoder, configuration: ProblemAgnosticConfiguration | None = None
    ) -> None:
        configuration = configuration or ProblemAgnosticConfiguration()
        names = configuration.workers
        if not names or set(names) - set(WORKERS):
            raise ValueError(f"workers {', '.join(names)}: choose from {', '.join(WORKERS)}")
        super().__init__(dict.fromkeys(names, 1.0 / len(names)))
        self.configuration = configuration
        self.encoder = in_time(encoder, "PASE's task")
        self.workers = nn.ModuleDict({name: _worker(name, encoder.dim) for name in names})
        self.register_buffer("gathered", torch.zeros((), dtype=torch.long))

    @property
    def needs(self) -> Needs:
        return Needs(frames=FEWEST_FRAMES)

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        return self.with_frames(batch, context, phase)[0]

    def with_frames(
        self, batch: Batch, context: Context, phase: str = "main"
    ) -> tuple[Step, Frames]:
        frames = self.encoder(batch)
        return self._step(frames, batch, context), frames

    def _step(self, frames: Frames, batch: Batch, context: Context) -> Step:
        targets = self.targets(batch, frames)
        if self.training and int(self.gathered) < GATHERED:
            for name, rows in targets.items():
                self._regressor(name).gather(rows)
            self.gathered += ranks.size(len(batch))
        step = Step({})
        known = frames.values[frames.valid]
        for name, worker in self.workers.items():
            if name in targets:
                step.losses[name] = self._regress(name, known, targets[name])
                continue
            found = _DISCRIMINATORS[name][0](worker, frames, context.generator)
            step.losses |= found.losses
            step.metrics |= found.metrics
        with torch.no_grad():
            means = [value / count for value, count in step.losses.values() if count]
            step.metrics["workers"] = (sum(means) / max(1, len(means)), float(bool(means)))
        return step

    def _regress(self, name: str, known: Tensor, targets: Tensor) -> tuple[Tensor, float]:
        """known (N, dim), targets (N, size)"""
        worker = self._regressor(name)
        error = worker(known).float() - worker.standardisation(targets)
        error = error.abs() if name == "waveform" else error.square()
        return error.mean(dim=1).sum(), float(len(known))

    def _regressor(self, name: str) -> Regressor:
        worker = self.workers[name]
        assert isinstance(worker, Regressor)
        return worker

    @torch.no_grad()
    def targets(self, batch: Batch, frames: Frames) -> dict[str, Tensor]:
        """name -> (N, size) of each valid frame, not standardised."""
        waveform, lengths = batch.streams[WAVEFORM], batch.lengths[WAVEFORM]
        described = [name for name in self.workers if name in SIZES]
        found = acoustic_targets(waveform, lengths, described)
        if "waveform" in self.workers:
            waveform = F.pad(unit_scale(waveform), (0, max(0, WINDOW - waveform.shape[1])))
            middles = waveform[:, (WINDOW - HOP) // 2 :].unfold(1, HOP, HOP)
            found["waveform"] = middles[:, : frames.values.shape[1]]
        return {name: values[frames.valid] for name, values in found.items()}

    def counts(self, batch: Batch, context: Context, phase: str = "main") -> dict[str, float]:
        lengths = self.encoder.frame_count(batch.lengths)
        known = {
            "lim": lengths[local_usable(lengths)].sum(),
            "gim": global_usable(lengths).sum(),
        }
        return {name: float(known.get(name, lengths.sum())) for name in self.workers}


def _worker(name: str, dim: int) -> Worker:
    if name in _DISCRIMINATORS:
        return Worker(WorkerConfiguration(2 * dim, 1))
    alike = name == "waveform"
    return Regressor(WorkerConfiguration(dim, HOP if alike else SIZES[name]), alike)
