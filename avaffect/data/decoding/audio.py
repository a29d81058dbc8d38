"""Decoding audio with PyAV (FFmpeg): any container or codec to 16 kHz mono int16, in a stream.

Memory does not grow with the length of a recording: packets are decoded, resampled and written to
a raw file one after the other.

Time. Second 0 is where the container starts (the earliest of its streams), so that sound and
picture share it. Sound that starts later, and gaps between time stamps, are filled with silence;
see `clock` for what is a gap, and what a fault of the time stamps.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np

from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.data.decoding.clock import AudioClock, with_later
from avaffect.data.decoding.declared import declared_end, is_whole
from avaffect.data.decoding.levels import full_scale
from avaffect.data.decoding.mixing import FACTS, Facts, Kind, Mix, Mixer, samples_of
from avaffect.data.decoding.ogg import broken_pages, ends_within_page
from avaffect.data.decoding.stretching import Stretcher
from avaffect.data.decoding.timeline import Timeline
from avaffect.data.decoding.tracks import audio_tracks, demuxed, opened_for
from avaffect.data.decoding.unusable import Unusable, check_file, check_machine, opened

# Decoding is quick, and time stamps after a seek are as coarse as the container's (1 ms).
SEEK_FROM_S = 30.0
# Codecs with memory need some packets before the first that counts.
PREROLL_S = 1.0
# How far the end of the sound may lie from where the container, or the manifest, puts it.
TOLERANCE_S = 0.1
# Above this share of packets that cannot be decoded the recording is damaged.
DAMAGED_SHARE = 0.01
# A peak at or below this (about -80 dBFS) is digital silence, dither included.
SILENT_PEAK = 3
# How names of sample formats begin that are floats.
FLOATS = ("flt", "dbl")
# What makes one track useless, and says nothing of the others.
OF_ONE_TRACK = ("empty", "damaged", "unreadable")
# Their time stamps after a seek are estimated from the bit rate: decode from the start.
UNSEEKABLE = ("mp3", "aac", "mpeg", "mpegts", "ac3", "amr")


@dataclass(frozen=True)
class DecodedAudio:
    """What was written. samples at 16 kHz; peak of the absolute samples; damaged packets that were
    left out; seconds of silence that fill gaps; notes: what a user should know of how it was
    read; facts: of its channels and levels, see `mixing.FACTS`; track: the sound track that was
    taken, from 0, of how many tracks."""

    samples: int
    peak: int
    damaged: int
    filled_s: float
    notes: tuple[str, ...] = ()
    facts: Facts = field(default_factory=lambda: dict(FACTS))
    track: int = 0
    tracks: int = 1


class _Sink:
    """Writes samples that fall between two times, given where the first one lies."""

    def __init__(self, file: BinaryIO, start_s: float, end_s: float | None) -> None:
        self.file = file
        self.start_s = start_s
        # Index of the next sample; negative before the start.
        self.next = self.index(0.0)
        self.limit = None if end_s is None else round((end_s - start_s) * SAMPLE_RATE_HZ)
        self.peak = self.filled = 0

    @property
    def written(self) -> int:
        return max(self.next, 0)

    @property
    def full(self) -> bool:
        return self.limit is not None and self.next >= self.limit

    def index(self, time_s: float) -> int:
        return round((time_s - self.start_s) * SAMPLE_RATE_HZ)

    def write(self, samples: np.ndarray) -> None:
        first = max(-self.next, 0)
        last = len(samples) if self.limit is None else max(self.limit - self.next, 0)
        kept = samples[first:last]
        if kept.size:
            self.file.write(kept.tobytes())
            self.peak = max(self.peak, int(kept.max()), -int(kept.min()))
        self.next += min(len(samples), last)

    def fill(self, index: int) -> None:
        """Silence up to a sample."""
        while self.next < index and not self.full:
            before = self.written
            self.write(np.zeros(min(index - self.next, SAMPLE_RATE_HZ), dtype="<i2"))
            self.filled += self.written - before


class _Resampler:
    """To 16 kHz mono int16; made anew when the source changes its format on the way."""

    def __init__(self, sink: Stretcher) -> None:
        self.sink = sink
        self._resampler: Any = None
        self._source: Any = None

    def feed(self, frame: av.AudioFrame) -> None:
        source = (frame.format.name, frame.layout.name, frame.sample_rate)
        if source != self._source:
            self.flush()
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
            self._source = source
        self._pass(frame)

    def flush(self) -> None:
        """Give out what the filter still holds."""
        if self._resampler is not None:
            self._pass(None)
            self._resampler = self._source = None
            self.sink.flush()

    def _pass(self, frame: av.AudioFrame | None) -> None:
        for out in self._resampler.resample(frame):
            if out is not None:
                self.sink.write(out.to_ndarray().reshape(-1))


def decode_audio(
    path: Path, file: BinaryIO, start_s: float | None = None, end_s: float | None = None,
    channels: tuple[int, ...] = (), track: int | None = None, beside: Path | None = None,
) -> DecodedAudio:  # fmt: skip
    """Write the sound of a recording to `file`, raw little-endian int16 at 16 kHz, mono.

    start_s, end_s: the part to take, in seconds of the recording; the whole without.
    channels: those to mix, from 0; all without. `mixing` says how; where they cancel each other,
    the recording is decoded again.
    track: of the sound tracks, from 0; without, the one that players take, or where that is silent
    or useless the first that is not, which is decoded after it. beside: a recording of the pictures
    that shares second 0; see `Timeline`.

    Raises Unusable: missing, unreadable, no sound, empty, damaged, truncated (shorter than its
    container declares) or outside (the part, or a channel, is not in the recording).
    MachineFault: memory, the disk or the network failed, and the recording is none the worse.
    """
    check_file(path)
    begin = file.tell()

    def decode(number: int | None) -> DecodedAudio:
        settled: dict[Kind, Mix] = {}
        while True:
            file.seek(begin)
            file.truncate()
            audio, again = _decode_once(
                path, file, start_s, end_s, channels, number, settled, beside
            )
            if not again:
                return audio

    try:
        audio = decode(track)
    except Unusable as error:
        if track is not None or error.reason not in OF_ONE_TRACK:
            raise
        return _of_another_track(path, decode, error)
    if track is not None or audio.tracks == 1:
        return audio
    if audio.peak <= SILENT_PEAK:
        return _of_another_track(path, decode, audio)
    return _noted(audio, f"it has {audio.tracks} sound tracks")


def _of_another_track(
    path: Path, decode: Callable[[int], DecodedAudio], found: DecodedAudio | Unusable
) -> DecodedAudio:  # fmt: skip
    """The first of the other tracks that is not silent; what was found where none is."""
    with opened_for("audio", path) as container:
        first, *others = audio_tracks(container)
    for number in others:
        with contextlib.suppress(Unusable):
            audio = decode(number)
            if audio.peak > SILENT_PEAK:
                what = "silent" if isinstance(found, DecodedAudio) else f"of no use ({found})"
                return _noted(audio, f"its sound track {first} is {what}")
    if isinstance(found, Unusable):
        raise found
    return decode(first) if others else found


def _noted(audio: DecodedAudio, why: str) -> DecodedAudio:
    note = f"{why}: track {audio.track} of 0 to {audio.tracks - 1} is taken; see --audio-track"
    return replace(audio, notes=(*audio.notes, note))


def _decode_once(
    path: Path, file: BinaryIO, start_s: float | None, end_s: float | None,
    channels: tuple[int, ...], track: int | None, settled: dict[Kind, Mix], beside: Path | None,
) -> tuple[DecodedAudio, bool]:  # fmt: skip
    """What was written, and whether `settled` now says to mix it otherwise."""
    if start_s is not None and end_s is not None and end_s <= start_s:
        raise Unusable("empty", f"it ends at {end_s:g} s and starts at {start_s:g} s")
    with opened_for("audio", path) as container:
        tracks = container.streams.audio
        number = audio_tracks(container, track)[0]
        stream = tracks[number]
        codec, scale = stream.codec_context, 1.0
        lossless = codec.codec.lossless
        if lossless and codec.format is not None and codec.format.name.startswith(FLOATS):
            scale = _full_scale(path, stream.index, path.stat().st_mtime_ns)
        mixer = Mixer(channels, scale, lossless, start_s or 0.0, end_s, settled)
        audio = _decode(path, container, stream, file, start_s, end_s, mixer, beside)
        again = mixer.finish()
        return replace(audio, facts=mixer.facts, track=number, tracks=len(tracks)), again


@lru_cache(maxsize=64)
def _full_scale(path: Path, track: int, changed: int) -> float:
    """What full scale is in a track of floats: in all of it, for its parts have one scale.

    changed: when the file was, so that another one under its name is read anew.
    """
    with opened(path) as container:
        packets = Packets(container, container.streams[track])
        return full_scale(samples_of(frame) for frame in packets)


def _decode(
    path: Path, container: Any, stream: Any, file: BinaryIO,
    start_s: float | None, end_s: float | None, mixer: Mixer, beside: Path | None,
) -> DecodedAudio:  # fmt: skip
    zero_s = (container.start_time or 0) / av.time_base
    begin = start_s or 0.0
    sought = begin > SEEK_FROM_S and container.format.name not in UNSEEKABLE
    sought = sought and sought_to(container, stream, zero_s + begin - PREROLL_S)
    sink = _Sink(file, begin, end_s)
    no_time = partial(Timeline(path, beside).no_time, stream.index)
    clock = AudioClock(zero_s, None if sought else 0.0, no_time)
    packets = Packets(container, stream)
    stretcher = Stretcher(sink)
    resampler = _Resampler(stretcher)
    for frame, later in with_later(packets):
        gap, here = clock.place(frame, later)
        if gap is None:
            # After a seek: before the part, or where sound begins within it.
            sink.next = min(sink.index(here), 0)
            sink.fill(sink.index(here))
        elif gap:
            resampler.flush()
            sink.fill(sink.index(here))
        stretcher.pace = clock.pace
        resampler.feed(mixer.take(frame, here))
        if sink.full:
            break
    resampler.flush()
    if not sink.full:
        declared = declared_end(path, container, stream, zero_s)
        is_cut = packets.damaged_last and not is_whole(path, container)
        is_cut |= container.format.name == "ogg" and ends_within_page(path)
        _check_end(sink, clock.reached_s, declared, end_s, is_cut)
    check_damage(packets)
    return DecodedAudio(sink.written, sink.peak, packets.damaged, sink.filled / SAMPLE_RATE_HZ)


def sought_to(container: Any, stream: Any, time_s: float) -> bool:
    """Go on from the last place before a time from which a track can be decoded, if there is one: a
    track that begins late has none, and is read from the start."""
    try:
        container.seek(max(round(time_s / stream.time_base), 0), stream=stream)
    except av.FFmpegError as error:
        check_machine(container.name, error)
        return False
    return True


def check_damage(packets: Packets) -> None:
    """Raises Unusable where too many packets could not be decoded."""
    if packets.damaged > max(1, DAMAGED_SHARE * packets.count):
        raise Unusable(
            "damaged",
            f"{packets.damaged} of {packets.count} packets cannot be decoded ({packets.word})",
        )
    if packets.container.format.name == "ogg":
        path = Path(packets.container.name)
        broken, count = broken_pages(path, path.stat().st_mtime_ns)
        if broken > DAMAGED_SHARE * count:
            raise Unusable("damaged", f"{broken} of {count} pages do not have their checksum")


def _check_end(
    sink: _Sink, reached: float, declared: float | None, end_s: float | None, cut_off: bool
) -> None:
    """The sound ended before the part did: was it cut short, or was more asked than there is?"""
    if declared == 0:
        # What was decoded is what follows: text.
        raise Unusable("empty", "it holds no samples")
    wanted = declared if end_s is None else end_s
    if sink.written and wanted is not None and reached >= wanted - TOLERANCE_S:
        return
    # What was asked for lies in the recording as it was made.
    inside = sink.start_s < (declared or 0.0) and (wanted or 0.0) <= (declared or 0.0) + TOLERANCE_S
    if declared is not None and inside and reached < declared - TOLERANCE_S:
        raise Unusable("truncated", f"{reached:.2f} s of {declared:.2f} s are there")
    if declared is None and cut_off:
        raise Unusable("truncated", f"it breaks off after {reached:.2f} s")
    if end_s is not None or (sink.start_s and not sink.written):
        asked = f"{sink.start_s:g} s to {'the end' if end_s is None else f'{end_s:g} s'}"
        ends = f"the recording ends at {declared or reached:.2f} s"
        raise Unusable("outside", f"{asked} was asked for; {ends}")
    if not sink.written:
        raise Unusable("empty", "it holds no samples")


class Packets:
    """Decoded frames of a stream, and what could not be decoded."""

    def __init__(self, container: Any, stream: Any) -> None:
        self.container, self.stream = container, stream
        self.count = self.damaged = 0
        self.damaged_last = False
        self.word = ""

    def __iter__(self) -> Iterator[Any]:
        # Floats in a file may be no numbers; lossy codecs make none such.
        plain_float = self.stream.codec_context.codec.name.startswith(("pcm_f", "wavpack"))
        for packet in demuxed(self.container, self.stream):
            if not packet.size and packet.pts is not None:
                # A decoder would take it for the end.
                self._sent(packet)
                continue
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                check_machine(self.container.name, error)
                self.count += 1
                self.damaged += 1
                self.damaged_last = True
                self.word = error.strerror or str(error)
                continue
            # The last, empty packet only drains the decoder.
            if packet.size:
                self.count += 1
                self.damaged_last = False
                self._sent(packet)
            for frame in frames:
                if plain_float and not np.isfinite(samples_of(frame)).all():
                    raise Unusable("damaged", "it holds samples that are no numbers (NaN)")
                yield frame

    def _sent(self, packet: av.Packet) -> None:
        """A packet that is not damaged."""
