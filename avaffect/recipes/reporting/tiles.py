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


def seconds_of(clips: Iterable[Clip]) -> float:
    """The width of spectrograms that stand beside each other."""
    sounds = [clip.sound for clip in clips if clip.face is None]
    lengths = [len(sound) / SAMPLE_RATE_HZ for sound in sounds if sound is not None]
    return scale_of(lengths) if lengths else 1.0


def tile(media: Media, clip: Clip, details: tuple[str, ...], seconds: float) -> Tile:
    """seconds: see `seconds_of`."""
    face, sound = clip.face, clip.sound
    return Tile(
        clip.identifier, clip.label or "", details,
        media.picture(_picture(face, sound, seconds)), media.sound(sound), clip.agrees,
        "Spectrogram" if face is None else "Face",
    )  # fmt: skip


def _picture(
    face: np.ndarray | None, sound: np.ndarray | None, seconds: float
) -> np.ndarray | None:
    if face is not None or sound is None:
        return face
    return spectrogram(*mel_levels(sound, seconds), seconds, SIDE, SIDE)


def duration(clip: Clip) -> str:
    """The seconds of the sound, in words; "" without any."""
    sound = clip.sound
    return "" if sound is None else f"{len(sound) / SAMPLE_RATE_HZ:.1f} s"
