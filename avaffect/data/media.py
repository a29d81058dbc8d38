"""Decoding of the items of a corpus manifest to streams, by several processes."""

from __future__ import annotations

import errno
import io
import os
import traceback
from collections.abc import Callable, Container, Generator, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import av
import numpy as np

from avaffect.core import faults
from avaffect.core.errors import AvaffectError
from avaffect.core.nouns import count_of
from avaffect.core.streams import SAMPLE_RATE_HZ, WAVEFORM
from avaffect.data.decoding.audio import SILENT_PEAK, DecodedAudio, decode_audio
from avaffect.data.decoding.mixing import FACTS, Facts
from avaffect.data.decoding.unusable import Unusable
from avaffect.data.faces.options import FaceOptions
from avaffect.data.items import audio_of, channels_of, video_of
from avaffect.data.manifest import Item
from avaffect.data.store.schema import StreamSpec
from avaffect.data.workers import ordered_map

# OpenCV is imported where there are faces to find.
if TYPE_CHECKING:
    from avaffect.data.faces.extraction import Faces
    from avaffect.data.faces.samples import Samples
    from avaffect.data.faces.spool import Sums

WAVEFORM_SPEC = StreamSpec(WAVEFORM, "int16", float(SAMPLE_RATE_HZ))
# Pictures of a recording for its preview: at least this many, and less than twice as many.
SAMPLES = 5
# Counts of pictures, also of a recording without video.
FACE_COUNTS = (
    "face_frames", "faces_detected", "faces_tracked", "faces_interpolated", "faces_absent",
    "frames_dropped", "frames_duplicated", "damaged_pictures", "cuts",
)  # fmt: skip

Result = TypeVar("Result")


@dataclass(frozen=True)
class DecodingOptions:
    """audio: whether to decode it; channels: of the audio, from 0, for items that list none;
    audio_track: from 0, None to select it; faces: options, None for no faces."""

    audio: bool = True
    keep_silent: bool = False
    channels: tuple[int, ...] = ()
    audio_track: int | None = None
    faces: FaceOptions | None = None


@dataclass(frozen=True)
class Task:
    """One utterance to decode. audio, video: paths of its files, or None; spool: stem of the raw
    files of its streams; channels: of the audio, from 0, () for all; samples: number of pictures
    for a preview; audio_track: value of the item, not yet checked."""

    audio: Path | None
    video: Path | None
    start_s: float | None
    end_s: float | None
    spool: Path
    options: DecodingOptions
    channels: tuple[int, ...]
    samples: int
    audio_track: Any = None

    def __str__(self) -> str:
        return str(self.audio or self.video)


@dataclass(frozen=True)
class Lost:
    """Why an utterance, or its audio or face, could not be used. reason: a fixed word or two, by
    which they are counted."""

    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})"


@dataclass(frozen=True)
class Decoded:
    """streams: name -> raw file of steps; counts: of FACE_COUNTS; without_audio, without_face: why
    a requested modality is missing; sums, samples: of the faces; notes: remarks on the decoding for
    the user; facts: see `mixing.FACTS`."""

    streams: dict[str, Path]
    duration_s: float
    audio_s: float
    damaged_packets: int
    filled_s: float
    counts: dict[str, int] = field(default_factory=dict)
    without_audio: Lost | None = None
    without_face: Lost | None = None
    sums: Sums | None = None
    samples: Samples | None = None
    notes: tuple[str, ...] = ()
    facts: Facts = field(default_factory=lambda: dict(FACTS))


def seconds_of(item: Item, key: str) -> float | None:
    """An item's start or end. Raises Unusable if it is not a time."""
    value = item.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
        raise Unusable("outside", f"its {key} is {value!r}, which is not a time in seconds")
    return float(value)


def check_access(folder: Path, sources: Iterable[str]) -> None:
    """Raises MachineFault for recordings that exist but may not be read, before hours of decoding.

    Reasons are another user's folder, or a mount without permissions.
    """
    refused = [
        source
        for source in sorted(set(sources))
        if not os.access(folder / source, os.R_OK) and (folder / source).exists()
    ]
    if refused:
        more = f" and {count_of(len(refused) - 1, 'more recording')}" if len(refused) > 1 else ""
        raise faults.of_file(f"{folder / refused[0]}{more}", errno.EACCES)


def decode_items(
    folder: Path, items: Iterable[Item], spool: Path, jobs: int, options: DecodingOptions,
    previewed: Container[int] = (), backend: str | None = None,
) -> Generator[Decoded | Lost, None, None]:  # fmt: skip
    """Decode the items' recordings; results are in order for any number of processes.

    folder: to which media paths are relative; spool: a folder for raw files, which the caller
    removes one by one; previewed: rows whose pictures are kept; jobs, backend: see `ordered_map`.
    Few items are in work at a time.
    """
    spool = spool.absolute()
    tasks = (
        _task(folder, item, spool / f"{row}", options, SAMPLES if row in previewed else 0)
        for row, item in enumerate(items)
    )
    yield from ordered_map(_decode, tasks, jobs, _crashed, backend)


def measure_items(
    folder: Path, items: Iterable[Item], measure: Callable[[np.ndarray, Facts], Result], jobs: int,
) -> Generator[Result | Lost, None, None]:  # fmt: skip
    """What `measure`, which processes can be sent, finds in the audio of each item, (S,) int16 at
    16 kHz, with FACTS of its channels and levels; in order. Nothing is written, and no more than an
    utterance a process is in memory."""
    options = DecodingOptions(keep_silent=True)
    tasks = (_task(folder, item, Path(), options, 0) for item in items)
    yield from ordered_map(partial(_measured, measure), tasks, jobs, _crashed)


def _measured(measure: Callable[[np.ndarray, Facts], Result], task: Task | Lost) -> Result | Lost:
    if isinstance(task, Lost):
        return task

    def heard(task: Task) -> Result:
        buffer = io.BytesIO()
        audio = _audio_into(buffer, task)
        return measure(np.frombuffer(buffer.getvalue(), dtype="<i2"), audio.facts)

    return _attempt(heard, task)


def _task(
    folder: Path, item: Item, spool: Path, options: DecodingOptions, samples: int
) -> Task | Lost:
    try:
        start_s, end_s = seconds_of(item, "start"), seconds_of(item, "end")
    except Unusable as error:
        return Lost(error.reason, error.detail)
    try:
        channels = channels_of(item) or options.channels
    except ValueError as error:
        return Lost("outside", f"its audio_channels are {error}")
    audio, video = (
        folder / source if source else None for source in (audio_of(item), video_of(item))
    )
    if audio is None and video is None:
        return Lost("missing", "the item has no recording")
    track = item.get("audio_track")
    return Task(audio, video, start_s, end_s, spool, options, channels, samples, track)


def _decode(task: Task | Lost) -> Decoded | Lost:
    if isinstance(task, Lost):
        return task
    audio: DecodedAudio | Lost | None = None
    faces: Faces | Lost | None = None
    if task.options.audio:
        audio = _attempt(_decode_audio, task)
    # A truncated file may be repaired, and is skipped as a whole; a separate file is still used.
    one_file = task.audio == task.video
    if task.options.faces is not None and not (one_file and _truncated(audio)):
        faces = _attempt(_decode_faces, task)
    waveform = _waveform(task)
    if isinstance(audio, DecodedAudio) and not (one_file and _truncated(faces)):
        found = None if isinstance(faces, Lost) else faces
        return _joined({WAVEFORM: waveform}, audio, found, None, faces)
    waveform.unlink(missing_ok=True)
    if faces is not None and not isinstance(faces, Lost):
        return _joined({}, None, faces, audio, None)
    return _both_lost(audio, faces)


def _truncated(result: Any) -> bool:
    return isinstance(result, Lost) and result.reason == "truncated"


def _attempt(decode: Callable[[Task], Result], task: Task) -> Result | Lost:
    try:
        return decode(task)
    except Unusable as error:
        return Lost(error.reason, error.detail)
    except AvaffectError:
        # A detector that does not load is not a fault of the recording.
        raise
    except Exception as error:
        if isinstance(error, OSError) and not isinstance(error, av.FFmpegError):
            # Nor is a full disk.
            raise
        code = faults.code_of(error)
        if code is not None or faults.memory_lacks():
            raise faults.of_file(str(task), code or errno.ENOMEM) from error
        # An error in this program, which must not stop the decoding of the other recordings.
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        return Lost("unexpected", f"{type(error).__name__}: {error}, in {where}; please report it")


def _waveform(task: Task) -> Path:
    return task.spool.with_suffix(".waveform")


def _decode_audio(task: Task) -> DecodedAudio:
    with _waveform(task).open("wb") as file:
        return _audio_into(file, task)


def _audio_into(file: BinaryIO, task: Task) -> DecodedAudio:
    if task.audio is None:
        raise Unusable("no sound", "the item has no audio file")
    track = _audio_track(task)
    audio = decode_audio(
        task.audio, file, task.start_s, task.end_s, task.channels, track, task.video
    )
    if audio.peak <= SILENT_PEAK and not task.options.keep_silent:
        which = ""
        if audio.tracks > 1:
            last = audio.tracks - 1
            which = f", in all of its audio tracks, 0 to {last}"
            if track is not None:
                which = f", in audio track {track} of 0 to {last}"
        raise Unusable("silent", f"its largest sample is {audio.peak} of 32768{which}")
    return audio


def _audio_track(task: Task) -> int | None:
    """The audio track of an item, otherwise that of the options. Raises Unusable for a value that
    is not a track."""
    named = task.audio_track
    if named is None:
        return task.options.audio_track
    if isinstance(named, bool) or not isinstance(named, int) or named < 0:
        raise Unusable("no sound", f"its audio_track is {named!r}; the first track is 0")
    return named


def _decode_faces(task: Task) -> Faces:
    if task.video is None:
        raise Unusable("no picture", "the item has no video file")
    assert task.options.faces is not None
    from avaffect.data.faces.extraction import decode_faces

    return decode_faces(
        task.video, task.spool, task.options.faces, task.start_s, task.end_s, task.samples,
        task.audio,
    )  # fmt: skip


def _joined(
    streams: dict[str, Path],
    audio: DecodedAudio | None,
    faces: Faces | None,
    no_audio: Any,
    no_face: Any,
) -> Decoded:
    audio_s = audio.samples / SAMPLE_RATE_HZ if audio else 0.0
    return Decoded(
        {**streams, **(faces.streams if faces else {})},
        max(audio_s, faces.seconds if faces else 0.0),
        audio_s,
        audio.damaged if audio else 0,
        audio.filled_s if audio else 0.0,
        faces.counts if faces else {},
        no_audio if isinstance(no_audio, Lost) else None,
        no_face if isinstance(no_face, Lost) else None,
        faces.sums if faces else None,
        faces.samples if faces else None,
        (*(audio.notes if audio else ()), *(faces.notes if faces else ())),
        audio.facts if audio else dict(FACTS),
    )


def _both_lost(audio: Any, faces: Any) -> Lost:
    lost = [result for result in (audio, faces) if isinstance(result, Lost)]
    if len(lost) < 2 or lost[0].reason == lost[1].reason or _truncated(lost[0]):
        return lost[0]
    if _truncated(lost[1]):
        return lost[1]
    return Lost(lost[0].reason, f"{lost[0].detail}; {lost[1].reason}: {lost[1].detail}")


def _crashed(task: Task | Lost) -> Lost:
    return Lost(faults.CRASHED, "the decoder crashed on it")
