"""Utterances as tiles: a face, or else a spectrogram of the sound, and the sound to be played."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.data.spectrograms import scale_of, spectrogram
from avaffect.recipes.reporting.media import Media
from avaffect.recipes.reporting.parts import Tile
from avaffect.recipes.scoring.retrieved_clips import Clip, mel_levels

# Of a spectrogram, in pixels: twice those of a tile.
SIDE = 192
# Of a sound that can be played.
MOST_SECONDS = 20.0


def seconds_of(clips: Iterable[Clip]) -> float:
    """The width of spectrograms that stand beside each other."""
    sounds = [clip.sound for clip in clips if clip.face is None]
    lengths = [len(sound) / SAMPLE_RATE_HZ for sound in sounds if sound is not None]
    return scale_of(lengths) if lengths else 1.0


def tile(media: Media, clip: Clip, details: tuple[str, ...], seconds: float) -> Tile:
    """seconds: see `seconds_of`."""
    face, sound = clip.face, clip.sound
    return Tile(
        identifier=clip.identifier,
        title=clip.label or "",
        details=details,
        picture=media.picture(_picture(face, sound, seconds)),
        sound=media.sound(sound, MOST_SECONDS),
        agrees=clip.agrees,
        shows="Spectrogram" if face is None else "Face",
    )


def _picture(
    face: np.ndarray | None, sound: np.ndarray | None, seconds: float
) -> np.ndarray | None:
    if face is not None or sound is None:
        return face
    return spectrogram(*mel_levels(sound, seconds), seconds, SIDE, SIDE)


def duration(clip: Clip) -> str:
    """The seconds of the sound, and of what can be played of a long one; "" without any."""
    sound = clip.sound
    if sound is None:
        return ""
    seconds = len(sound) / SAMPLE_RATE_HZ
    played = f" (the first {MOST_SECONDS:g})" if seconds > MOST_SECONDS else ""
    return f"{seconds:.1f} s{played}"
