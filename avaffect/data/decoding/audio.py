"""Decoding audio with PyAV (FFmpeg): any container or codec to 16 kHz mono int16.

Memory does not grow with the length of a recording: packets are decoded, resampled and written to
a raw file one after the other.

Time: second 0 is the start of the container (of its earliest track), so that audio and video share
it. Silence is inserted before audio that starts later, and into gaps between time stamps; `clock`
distinguishes gaps from faults of the time stamps.
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

from avaffect.core.nouns import count_of
from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.data.decoding.clock import AudioClock, with_later
from avaffect.data.decoding.declared import declared_end, is_whole
from avaffect.data.decoding.levels import full_scale
from avaffect.data.decoding.mixing import FACTS, Facts, Kind, Mix, Mixer, samples_of
from avaffect.data.decoding.ogg import broken_pages, ends_within_page
from avaffect.data.decoding.stretching import Stretcher
from avaffect.data.decoding.timeline import Timeline
from avaffect.data.decoding.tracks import audio_tracks, demuxed, opened_for
from avaffect.data.decoding.unusable import (
    LEAST_SAMPLE_RATE_HZ,
    MOST_FILLED_S,
    Unusable,
    check_file,
    check_machine,
    opened,
)

# Seek only for later starts: decoding is fast, and time stamps after a seek are coarse (1 ms).
SEEK_FROM_S = 30.0
# Codecs with memory need some packets before the first one that is used.
PREROLL_S = 1.0
# Tolerance of the end of the audio against that of the container, or the manifest.
TOLERANCE_S = 0.1
# A recording with a larger share of undecodable packets is damaged.
DAMAGED_SHARE = 0.01
# A peak at or below this (about -80 dBFS) is digital silence, dither included.
SILENT_PEAK = 3
# Prefixes of the names of floating-point sample formats.
FLOATS = ("flt", "dbl")
# Reasons for which one track is unusable while others may be good.
OF_ONE_TRACK = ("empty", "damaged", "unreadable")
# Time stamps after a seek are estimated from the bit rate: decode from the start.
UNSEEKABLE = ("mp3", "aac", "mpeg", "mpegts", "ac3", "amr")


@dataclass(frozen=True)
class DecodedAudio:
    """samples: number at 16 kHz; peak: largest absolute sample; damaged: skipped packets; filled_s:
    seconds of silence in gaps; notes: remarks on the decoding for the user; facts: of channels and
    levels, see `mixing.FACTS`; track: the audio track that was decoded, from 0; tracks: their
    number."""

    samples: int
    peak: int
    damaged: int
    filled_s: float
    notes: tuple[str, ...] = ()
    facts: Facts = field(default_factory=lambda: dict(FACTS))
    track: int = 0
    tracks: int = 1


class _Sink:
    """Writes the samples between two times, given the time of the first one."""

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
        """Write silence up to a sample. Raises Unusable where that is more than any gap."""
        if self.filled + index - self.next > MOST_FILLED_S * SAMPLE_RATE_HZ:
            hours = (self.filled + index - self.next) / SAMPLE_RATE_HZ / 3600
            raise Unusable("damaged", f"its time stamps have {hours:,.0f} h without sound")
        while self.next < index and not self.full:
            before = self.written
            self.write(np.zeros(min(index - self.next, SAMPLE_RATE_HZ), dtype="<i2"))
            self.filled += self.written - before


class _Resampler:
    """Resampler to 16 kHz mono int16; replaced if the format of the recording changes."""

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
        """Write the samples that are still in the filter."""
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
    """Write the audio of a recording to `file`, raw little-endian int16 at 16 kHz, mono.

    start_s, end_s: the utterance, in seconds of the recording; by default all of it.
    channels: channels to mix, from 0, by default all; see `mixing`. If they cancel each other, the
    recording is decoded again.
    track: audio track, from 0. By default the one that players select or, if it is silent or
    unusable, the first that is not. beside: a video file with the same second 0; see `Timeline`.

    Raises Unusable: missing, unreadable, no sound, empty, damaged, truncated (shorter than its
    container declares) or outside (the utterance, or a channel, is not in the recording).
    MachineFault: memory, disk or network failed; the recording may be good.
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
    return _noted(audio, f"it has {count_of(audio.tracks, 'audio track')}")


def _of_another_track(
    path: Path, decode: Callable[[int], DecodedAudio], found: DecodedAudio | Unusable
) -> DecodedAudio:  # fmt: skip
    """The first of the other tracks that is not silent; `found` if there is none."""
    with opened_for("audio", path) as container:
        first, *others = audio_tracks(container)
    for number in others:
        with contextlib.suppress(Unusable):
            audio = decode(number)
            if audio.peak > SILENT_PEAK:
                what = "silent" if isinstance(found, DecodedAudio) else f"unusable ({found})"
                return _noted(audio, f"its audio track {first} is {what}")
    if isinstance(found, Unusable):
        raise found
    return decode(first) if others else found


def _noted(audio: DecodedAudio, why: str) -> DecodedAudio:
    note = f"{why}: track {audio.track} of 0 to {audio.tracks - 1} is used; see --audio-track"
    return replace(audio, notes=(*audio.notes, note))


def _decode_once(
    path: Path, file: BinaryIO, start_s: float | None, end_s: float | None,
    channels: tuple[int, ...], track: int | None, settled: dict[Kind, Mix], beside: Path | None,
) -> tuple[DecodedAudio, bool]:  # fmt: skip
    """The decoded audio, and whether `settled` now requires another mix, and so another pass."""
    if start_s is not None and end_s is not None and end_s <= start_s:
        raise Unusable("empty", f"it ends at {end_s:g} s and starts at {start_s:g} s")
    with opened_for("audio", path) as container:
        tracks = container.streams.audio
        number = audio_tracks(container, track)[0]
        stream = tracks[number]
        codec, scale = stream.codec_context, 1.0
        if 0 < codec.sample_rate < LEAST_SAMPLE_RATE_HZ:
            raise Unusable("damaged", f"its sample rate is {codec.sample_rate} Hz")
        lossless = codec.codec.lossless
        if lossless and codec.format is not None and codec.format.name.startswith(FLOATS):
            scale = _full_scale(path, stream.index, path.stat().st_mtime_ns)
        mixer = Mixer(channels, scale, lossless, start_s or 0.0, end_s, settled)
        audio = _decode(path, container, stream, file, start_s, end_s, mixer, beside)
        again = mixer.finish()
        return replace(audio, facts=mixer.facts, track=number, tracks=len(tracks)), again


@lru_cache(maxsize=64)
def _full_scale(path: Path, track: int, changed: int) -> float:
    """Full scale of a track of floats; all of it is read, as its utterances share one scale.

    changed: time of the file's last change, so that a replaced file is read again.
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
            # After a seek: before the utterance, or where audio begins within it.
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
    """Seek to the last place before a time from which a track can be decoded. False if there is
    none, as in a track that begins later; it is then read from the start."""
    try:
        container.seek(max(round(time_s / stream.time_base), 0), stream=stream)
    except av.FFmpegError as error:
        check_machine(container.name, error)
        return False
    return True


def check_damage(packets: Packets) -> None:
    """Raises Unusable if too many packets could not be decoded."""
    if packets.damaged > max(1, DAMAGED_SHARE * packets.count):
        raise Unusable(
            "damaged",
            f"{packets.damaged} of {count_of(packets.count, 'packet cannot', 'packets cannot')} be "
            f"decoded ({packets.word})",
        )
    if packets.container.format.name == "ogg":
        path = Path(packets.container.name)
        broken, count = broken_pages(path, path.stat().st_mtime_ns)
        if broken > DAMAGED_SHARE * count:
            raise Unusable(
                "damaged",
                f"{broken} of {count_of(count, 'page has', 'pages have')} a wrong checksum",
            )


def _check_end(
    sink: _Sink, reached: float, declared: float | None, end_s: float | None, cut_off: bool
) -> None:
    """The audio ended before the utterance: the file is truncated, or the utterance is outside."""
    if declared == 0:
        # The samples that were decoded are text that follows.
        raise Unusable("empty", "it contains no samples")
    wanted = declared if end_s is None else end_s
    if sink.written and wanted is not None and reached >= wanted - TOLERANCE_S:
        return
    # The utterance was within the recording when it was made.
    inside = sink.start_s < (declared or 0.0) and (wanted or 0.0) <= (declared or 0.0) + TOLERANCE_S
    if declared is not None and inside and reached < declared - TOLERANCE_S:
        raise Unusable("truncated", f"only {reached:.2f} s of {declared:.2f} s are present")
    if declared is None and cut_off:
        raise Unusable("truncated", f"it ends unexpectedly after {reached:.2f} s")
    if end_s is not None or (sink.start_s and not sink.written):
        asked = f"{sink.start_s:g} s to {'the end' if end_s is None else f'{end_s:g} s'}"
        ends = f"the recording ends at {declared or reached:.2f} s"
        raise Unusable("outside", f"it is {asked}; {ends}")
    if not sink.written:
        raise Unusable("empty", "it contains no samples")


class Packets:
    """Decoded frames of a track, and counts of undecodable packets."""

    def __init__(self, container: Any, stream: Any) -> None:
        self.container, self.stream = container, stream
        self.count = self.damaged = 0
        self.damaged_last = False
        self.word = ""

    def __iter__(self) -> Iterator[Any]:
        # Floats in a file may be NaN; those of lossy codecs are not.
        plain_float = self.stream.codec_context.codec.name.startswith(("pcm_f", "wavpack"))
        for packet in demuxed(self.container, self.stream):
            if not packet.size and packet.pts is not None:
                # A decoder would take an empty packet for the end.
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
                    raise Unusable("damaged", "it contains samples that are not numbers (NaN)")
                yield frame

    def _sent(self, packet: av.Packet) -> None:
        """Called for each packet that is not damaged."""
