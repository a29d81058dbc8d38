"""Traces of long recordings, window by window (SS-VAERR trains and predicts on segments).

Memory holds some windows and the result, however long a recording is.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avaffect.data.dataset import Dataset
from avaffect.evaluation.overlap import OverlapMean, window_starts
from avaffect.models.encoder import FrameEncoder, Frames
from avaffect.recipes.downstream.head_group import HeadGroup
from avaffect.recipes.encoding.input_streams import frame_counts
from avaffect.settings.windows import check_windows
from avaffect.training.device import to_device

# Frames that a head reads at once, in as many windows: several windows cost a recurrent head hardly
# more time than one.
_FRAMES = 1 << 14


@dataclass(frozen=True)
class Windows:
    """Recordings of more than `whole_s` seconds are read in windows of `window_s`, `step_s` apart,
    shorter ones whole."""

    window_s: float = 60.0
    step_s: float = 30.0
    whole_s: float = 120.0


def windows_of(window_s: float | None, step_s: float | None = None) -> Windows:
    """Windows of the options: half a window apart by default; without a length, windows that leave
    recordings of up to two minutes whole.

    Raises UsageError where they are further apart than they are long.
    """
    default = Windows()
    length = default.window_s if window_s is None else window_s
    apart = length / 2 if step_s is None else step_s
    check_windows(length, apart)
    return Windows(length, apart, default.whole_s if window_s is None else length)


@torch.inference_mode()
def windowed(group: HeadGroup, recording: Dataset, windows: Windows) -> np.ndarray:
    """(T, heads * traces) float32 of a dataset of one recording: the mean of the heads' outputs for
    each step over all windows that contain it.

    An encoder with a reach computes each frame once; for others each window is a recording of its
    own.
    """
    rate_hz = group.form.steps_hz
    window = max(1, round(windows.window_s * rate_hz))
    step = min(max(1, round(windows.step_s * rate_hz)), window)
    steps = group.form.step_count(int(frame_counts(group.inputs, recording)[0]))
    starts = window_starts(steps, window, step)
    # Frames of each input in a step.
    encoders = group.inputs.in_time("a trace")
    frames_in = {name: encoder.rate_hz / rate_hz for name, encoder in encoders.items()}
    sources = {
        name: _source_of(encoder, recording, max(1, round(window * frames_in[name])), group)
        for name, encoder in encoders.items()
    }
    together = min(source.together for source in sources.values())
    outputs = OverlapMean(steps, group.columns)
    for first in range(0, len(starts), together):
        group.progress.check()
        part = starts[first : first + together]
        found = group.over_time({
            name: source.frames(np.round(part * frames_in[name]).astype(np.int64))
            for name, source in sources.items()
        })  # fmt: skip
        values, lengths = found.values.float().cpu().numpy(), found.lengths.tolist()
        for start, row, length in zip(part.tolist(), values, lengths):
            outputs.add(start, row[: min(length, steps - start)])
    return outputs.mean()


def _source_of(encoder: FrameEncoder, recording: Dataset, length: int, group: HeadGroup) -> _Source:
    """The source of frames for windows of `length` frames."""
    kind: type[_Source] = _Anew if encoder.reach is None else _Once
    if not frame_counts(encoder, recording)[0]:
        kind = _Missing
    return kind(encoder, recording, length, group.batch_seconds, group.device)


class _Source:
    """Frames of windows of `length` frames of a recording, `together` windows at a time.

    An encoder reads `at_once` frames' time at once, or a window where that is more.
    """

    together: int

    def __init__(
        self,
        encoder: FrameEncoder,
        recording: Dataset,
        length: int,
        batch_seconds: float,
        device: torch.device,
    ) -> None:
        self.encoder, self.recording = encoder, recording
        self.length, self.device = length, device
        self.at_once = max(1, int(batch_seconds * encoder.rate_hz))
        self.total = int(frame_counts(encoder, recording)[0])

    def frames(self, starts: np.ndarray) -> Frames:
        """(W, length, dim) of the windows that begin at these frames, in rising order; the last may
        be shorter."""
        raise NotImplementedError

    def _encoded(self, starts: np.ndarray, length: int) -> Frames:
        """The encoder's frames of pieces that last `length` frames."""
        rate_hz = self.encoder.rate_hz
        pieces = replace(self.recording, crop_s=length / rate_hz)
        batch = pieces.batch_from(np.zeros(len(starts), dtype=np.int64), starts / rate_hz)
        return self.encoder(to_device(batch, self.device))

    def _lengths(self, starts: np.ndarray) -> Tensor:
        """(W,) frames of the windows, which end with the recording."""
        left = torch.from_numpy(np.clip(self.total - starts, 0, self.length))
        return left.to(self.device)


class _Missing(_Source):
    """An input that the recording lacks."""

    together = _FRAMES

    def frames(self, starts: np.ndarray) -> Frames:
        values = torch.zeros(len(starts), 0, self.encoder.dim, device=self.device)
        return Frames(values, self._lengths(starts))


class _Once(_Source):
    """Each frame is computed once, by an encoder whose frames depend on `reach` others on each
    side; frames that the next windows need are kept."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.together = max(1, _FRAMES // self.length)
        self.first = 0
        self.kept = torch.zeros(0, self.encoder.dim, device=self.device)

    def frames(self, starts: np.ndarray) -> Frames:
        # An input may end before the recording does.
        first = min(int(starts[0]), self.total)
        self._reach_to(first, min(int(starts[-1]) + self.length, self.total))
        lengths = self._lengths(starts)
        values = self.kept.new_zeros(len(starts), self.length, self.encoder.dim)
        for row, start, length in zip(values, (starts - first).tolist(), lengths.tolist()):
            row[:length] = self.kept[start : start + length]
        return Frames(values, lengths)

    def _reach_to(self, first: int, last: int) -> None:
        """Keep frames `first` to `last`: drop earlier ones, compute missing ones."""
        parts, reach = [self.kept[first - self.first :]], self.encoder.reach
        assert reach is not None
        # Of an input that is slower than the steps, windows side by side may leave out a frame.
        for begin in range(max(first, self.first + len(self.kept)), last, self.at_once):
            end = min(begin + self.at_once, last)
            piece = max(0, begin - reach), min(self.total, end + reach)
            frames = self._encoded(np.array(piece[:1]), piece[1] - piece[0]).values[0]
            parts.append(frames[begin - piece[0] : end - piece[0]])
        self.first, self.kept = first, torch.cat(parts)


class _Anew(_Source):
    """Each window is encoded by itself, with as much after it as its last frame needs to begin."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.together = max(1, self.at_once // self.length)
        self.piece = next(n for n in itertools.count(self.length) if self._count(n) >= self.length)

    def frames(self, starts: np.ndarray) -> Frames:
        found = self._encoded(starts, self.piece)
        lengths = torch.minimum(found.lengths, self._lengths(starts))
        cut = Frames(found.values[:, : self.length], lengths)
        return Frames(cut.values * cut.valid[..., None], lengths)

    def _count(self, frames: int) -> int:
        """Frames of the encoder in a piece that lasts so many frames."""
        seconds = frames / self.encoder.rate_hz
        steps = {
            name: torch.tensor([round(seconds * column.rate_hz)])
            for name, column in self.recording.columns.items()
            if name in self.encoder.streams and self.recording.steps(name)[0]
        }
        return int(self.encoder.frame_count(steps)[0])
