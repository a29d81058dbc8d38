"""Rate, length and channels of a recording, as other programs' lists of recordings have them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avaffect.core import faults
from avaffect.core.errors import DataError

# Read by libsndfile, and so by most programs.
PLAIN_SUFFIXES = (".wav", ".flac", ".ogg")


@dataclass(frozen=True)
class Recorded:
    """rate_hz and samples (a channel) of the audio, of a recording without audio 0; seconds."""

    rate_hz: int
    samples: int
    channels: int
    seconds: float


def recorded(path: Path) -> Recorded:
    """By the header alone. Raises DataError where it is no recording or its length is unknown."""
    # Imported here: commands that have nothing to do start without the libraries.
    import av
    import soundfile

    if not path.is_file():
        raise DataError(f"{path}: no such recording")
    if path.suffix.lower() in PLAIN_SUFFIXES:
        try:
            facts = soundfile.info(str(path))
        except soundfile.SoundFileError as error:
            faults.check_machine(path, error)
            raise DataError(f"{path}: cannot be read as a recording ({error})") from error
        return Recorded(facts.samplerate, facts.frames, facts.channels, facts.duration)
    try:
        with av.open(str(path)) as container:
            audio = next(iter(container.streams.audio), None)
            seconds = (container.duration or 0) / av.time_base
            if audio is not None and audio.duration and audio.time_base:
                seconds = float(audio.duration * audio.time_base)
            rate, channels = (audio.rate, audio.channels) if audio is not None else (0, 0)
    except (av.FFmpegError, ValueError) as error:
        faults.check_machine(path, error)
        raise DataError(f"{path}: cannot be read as a recording ({error})") from error
    if seconds <= 0:
        raise DataError(f"{path}: its header does not say how long it is; convert it to WAV")
    return Recorded(rate, round(seconds * rate), channels, seconds)
