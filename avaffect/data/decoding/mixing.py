"""Mixing of audio channels to one, and faults of the channels.

Mono, stereo (the mean) and declared layouts are mixed by FFmpeg, with its weights. Without a
declared layout (no channel mask, for example one microphone a channel) FFmpeg would assume a layout
by the number of channels, and omit a supposed low-frequency channel: here the plain mean of all
channels is used.

Faults are known when the whole recording was analysed; it is then decoded again with the remedy.
They are channels that cancel, and a low-frequency channel that contains speech.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import av
import numpy as np

from avaffect.data.decoding.channels import Coherence, Verdict
from avaffect.data.decoding.levels import Clipping
from avaffect.data.decoding.unusable import Unusable

# Layouts for which FFmpeg has weights.
DECLARED = {"FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR"}
LOW = "LFE"
PLAIN = ("FC",), ("FL", "FR")
# Approximate weights of FFmpeg, used only to decide whether channels cancel.
WEIGHTS = {"FC": 1.0, "FL": 0.7, "FR": 0.7, LOW: 0.0}
OTHER_WEIGHT = 0.5
# Effects have less above 300 Hz, as a share of the loudest channel's energy there or of their own.
LOW_SHARE = 0.03
LOW_OWN_SHARE = 0.02
BLOCK = 1 << 15
# Formats that PyAV gives as arrays: all but 64-bit integers, which FFmpeg mixes.
ARRAYS = ("u8", "s16", "s32", "flt", "dbl")
# For frames with this many planes (one a channel) or more, PyAV reads beyond them.
SAFE_PLANES = 8
CANCEL = "channels that cancel"
LOW_SPEECH = "a low-frequency channel that contains speech"

# Facts of a recording's channels and levels, here of one without audio. clipped_samples: of the
# recording, in the channel with most; full_scale: 1, except for floats on another scale; mixing:
# the channels that are used instead of all, and the reason, or "" without a fault.
Facts = dict[str, int | float | str]
FACTS: Facts = {"clipped_samples": 0, "full_scale": 1.0, "mixing": ""}

# Names of the channels.
Layout = tuple[str, ...]
# A format of audio, which may change within a recording: names of its layout and sample format, and
# its rate.
Kind = tuple[str, str, int]


@dataclass(frozen=True)
class Mix:
    """weights: of the channels, None for those of FFmpeg; what: their name; why: the fault of the
    channels, or ""."""

    weights: tuple[float, ...] | None = None
    what: str = ""
    why: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.why}" if self.why else ""


def only(channel: int, channels: int, why: str = "") -> Mix:
    weights = tuple(float(number == channel) for number in range(channels))
    return Mix(weights, f"channel {channel}", why)


def mean(channels: int, why: str = "") -> Mix:
    return Mix((1 / channels,) * channels, "mean", why)


@dataclass
class _Watched:
    """The analyses of audio of one format."""

    layout: Layout
    mix: Mix
    clipping: Clipping
    coherence: Coherence | None
    blocks: list[np.ndarray] = field(default_factory=list)
    samples: int = 0


class Mixer:
    """Mixes decoded frames one by one, and reports their faults at the end.

    channels: channels to mix, from 0; by default all. scale: full scale of floats. lossless: see
    Clipping. start_s, end_s: the part that is analysed. settled: remedies of an earlier pass.
    """

    def __init__(
        self, channels: tuple[int, ...], scale: float, lossless: bool,
        start_s: float, end_s: float | None, settled: dict[Kind, Mix],
    ) -> None:  # fmt: skip
        self.channels, self.scale, self.lossless = channels, scale, lossless
        self.start_s, self.end_s = start_s, np.inf if end_s is None else end_s
        self.settled = settled
        self._watched: dict[Kind, _Watched] = {}

    def take(self, frame: av.AudioFrame, here_s: float) -> av.AudioFrame:
        """The mixed frame, or the frame itself if the resampler mixes it; here_s: its start.

        Raises Unusable if a requested channel is missing.
        """
        if not frame.format.name.startswith(ARRAYS):
            return frame
        kind = frame.layout.name, frame.format.name, frame.sample_rate
        watched = self._watched.get(kind)
        if watched is None:
            layout = tuple(channel.name for channel in frame.layout.channels)
            watched = self._watched[kind] = self._watch(kind, layout)
        samples = samples_of(frame)
        first, last = ((time - here_s) * frame.sample_rate for time in (self.start_s, self.end_s))
        looked_at = samples[:, max(round(first), 0) : round(max(min(last, frame.samples), 0))]
        if looked_at.size:
            watched.blocks.append(looked_at[list(self.channels)] if self.channels else looked_at)
            watched.samples += looked_at.shape[1]
        if watched.samples >= BLOCK:
            self._look(watched)
        return self._mixed(frame, samples, watched.mix)

    def finish(self) -> bool:
        """Complete the analysis; True if the recording must be decoded again."""
        found = False
        for kind, watched in self._watched.items():
            self._look(watched)
            if watched.coherence is not None:
                used = self._used(watched.layout)
                remedy = _remedy(watched.mix, watched.layout, used, watched.coherence.verdict())
                self.settled[kind] = remedy
                found |= bool(remedy.why)
        return found

    @property
    def facts(self) -> Facts:
        """The values of FACTS for all frames."""
        watched = self._watched.values()
        return {
            "clipped_samples": sum(one.clipping.samples for one in watched),
            "full_scale": self.scale,
            "mixing": "; ".join(sorted({str(one.mix) for one in watched if one.mix.why})),
        }

    def _watch(self, kind: Kind, layout: Layout) -> _Watched:
        mix = self.settled.get(kind) or self._first_mix(layout)
        used = self._used(layout)
        coherence = None
        if len(used) > 1 and kind not in self.settled:
            weights = mix.weights or [WEIGHTS.get(name, OTHER_WEIGHT) for name in layout]
            looked_at = [weights[number] for number in used]
            coherence = Coherence(np.array(looked_at), kind[2])
        return _Watched(layout, mix, Clipping(self.lossless), coherence)

    def _used(self, layout: Layout) -> tuple[int, ...]:
        return self.channels or tuple(range(len(layout)))

    def _first_mix(self, layout: Layout) -> Mix:
        if self.channels:
            if max(self.channels) >= len(layout):
                there = "0 alone" if len(layout) == 1 else f"0 to {len(layout) - 1}"
                asked = f"channel {max(self.channels)} was requested"
                raise Unusable("outside", f"{asked}; it has {there}")
            share = 1 / len(self.channels)
            return Mix(tuple(share * (n in self.channels) for n in range(len(layout))))
        if (set(layout) == {"NONE"} and len(layout) <= 2) or layout in PLAIN:
            return Mix()
        if len(layout) > 2 and DECLARED.issuperset(layout):
            return Mix()
        return mean(len(layout))

    def _look(self, watched: _Watched) -> None:
        if not watched.blocks:
            return
        block = np.ascontiguousarray(np.concatenate(watched.blocks, axis=1))
        watched.blocks, watched.samples = [], 0
        watched.clipping.look(block, self.scale if block.dtype.kind == "f" else _most(block))
        if watched.coherence is not None:
            watched.coherence.look(_floats(block, self.scale))

    def _mixed(self, frame: av.AudioFrame, samples: np.ndarray, mix: Mix) -> av.AudioFrame:
        if mix.weights is None and self.scale == 1:
            return frame
        floats = _floats(samples, self.scale)
        if mix.weights is None:
            made = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(floats.T).reshape(1, -1), "flt", frame.layout.name
            )
        else:
            sound = np.asarray(mix.weights, np.float32) @ floats
            made = av.AudioFrame.from_ndarray(sound[None], "flt", "mono")
        made.sample_rate = frame.sample_rate
        return made


def _remedy(mix: Mix, layout: Layout, used: tuple[int, ...], found: Verdict) -> Mix:
    """The mix to use instead; the same without a fault. used: the analysed channels."""
    loudest = max(found.energies)
    if mix.weights is None and LOW in layout:
        low = layout.index(LOW)
        if found.energies[low] > LOW_SHARE * loudest and found.shares[low] > LOW_OWN_SHARE:
            mix = mean(len(layout), LOW_SPEECH)
    if not found.cancel:
        return mix
    if len(used) == 2 and found.throughout:
        signs = {used[0]: 0.5, used[1]: -0.5}
        return Mix(tuple(signs.get(n, 0.0) for n in range(len(layout))), "difference", CANCEL)
    return only(used[found.energies.index(loudest)], len(layout), CANCEL)


def samples_of(frame: av.AudioFrame) -> np.ndarray:
    """(C, n) samples of the frame's own type."""
    channels = frame.layout.nb_channels
    if not frame.format.is_planar:
        return frame.to_ndarray().reshape(-1, channels).T
    if channels < SAFE_PLANES:
        return frame.to_ndarray()
    packed = av.AudioResampler(frame.format.packed.name, frame.layout, frame.sample_rate)
    parts = [part.to_ndarray() for one in (frame, None) for part in packed.resample(one)]
    return np.concatenate(parts, axis=1).reshape(-1, channels).T


def _most(block: np.ndarray) -> float:
    """Full scale of integers; uint8 as signed."""
    return 128.0 if block.dtype == np.uint8 else float(np.iinfo(block.dtype).max) + 1


def _floats(block: np.ndarray, scale: float) -> np.ndarray:
    """float32 with full scale at 1."""
    if block.dtype.kind == "f":
        return (block / scale).astype(np.float32) if scale != 1 else block.astype(np.float32)
    if block.dtype == np.uint8:
        block = block.astype(np.int16) - 128
        return block.astype(np.float32) / 128
    return (block.astype(np.float32) / np.float32(_most(block))).astype(np.float32)
