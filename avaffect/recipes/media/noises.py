"""Recordings of noise: files, folders and stores of audio, and the segment for each utterance."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avaffect.core import seeds, unchanged
from avaffect.core.errors import DataError
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.streams import WAVEFORM
from avaffect.data.dataset import Dataset
from avaffect.data.decoding.audio import SILENT_PEAK, decode_audio
from avaffect.data.decoding.unusable import Unusable
from avaffect.recipes.common import work
from avaffect.recipes.common.recorded_noise import stored_recordings
from avaffect.recipes.media.noise_sources import Sources
from avaffect.signal import noise

QUIET = SILENT_PEAK / 32768


class Noises:
    """Recordings at 16 kHz, of which pieces are drawn.

    The first are utterances of stores, which are mapped; the others are raw files, decoded once.
    names: what each recording is called.
    """

    def __init__(
        self, stored: Dataset | None, speakers: list[str], files: list[tuple[str, Path]]
    ) -> None:
        """stored: what stores hold, and who speaks there, "" where it is not known; files: names,
        and raw int16 samples."""
        self._stored = stored
        ids = stored.ids if stored else []
        self.names = [*ids, *(name for name, _ in files)]
        self._files = [raw for _, raw in files]
        self._row_of = {identifier: row for row, identifier in enumerate(ids)}
        known, codes = np.unique([*speakers, *("" for _ in files)], return_inverse=True)
        self._speaker_of = codes
        self._codes = {speaker: code for code, speaker in enumerate(known.tolist()) if speaker}

    def piece(
        self, seed: int, identifier: str, speaker: str, length: int, voices: int
    ) -> tuple[np.ndarray, list[str]]:
        """(length,) samples of noise for an utterance, and the names of what it is made of.

        Drawn by seed and id alone, from the recordings that are not of the utterance's speaker.
        Raises DataError where these are too few, or one is silent.
        """
        random = seeds.generator(seed, "noise", identifier)
        others = self._speaker_of != self._codes.get(speaker, -1)
        if identifier in self._row_of:
            others[self._row_of[identifier]] = False
        rows = np.flatnonzero(others)
        if len(rows) < voices:
            raise DataError(
                f"{identifier} needs {count_of(voices, 'recording')} of noise of other speakers, "
                f"but there are {len(rows)}: give more with --noise, or a smaller --babble"
            )
        chosen = random.choice(rows, voices, replace=False).tolist()
        pieces = [
            self._cut(row, length, place) for row, place in zip(chosen, random.random(voices))
        ]
        mixed = noise.babble(pieces) if voices > 1 else pieces[0]
        return mixed, [self.names[row] for row in chosen]

    def _cut(self, row: int, length: int, place: float) -> np.ndarray:
        found = noise.piece(self._recording(row), length, place, QUIET)
        if found is None:
            raise DataError(f"--noise: {self.names[row]} is silent; leave it out")
        return found

    def _recording(self, row: int) -> np.ndarray:
        stored = 0 if self._stored is None else len(self._stored)
        if self._stored is not None and row < stored:
            return self._stored.read(WAVEFORM, row)
        return np.memmap(self._files[row - stored], dtype="<i2", mode="r")


def open_noises(sources: Sources, folder: Path, progress: Progress) -> Noises:
    """The recordings; files are decoded into `folder`.

    Raises DataError if a file has no audio or is silent, a store has no audio, or nothing is left.
    Files without audio in a folder are skipped and counted.
    """
    stored, speakers = stored_recordings(sources.stores) if sources.stores else (None, [])
    files: list[tuple[str, Path]] = []
    lost: list[str] = []
    for path, name, among_others in sources.files:
        raw = folder / f"noise-{len(files)}.raw"
        try:
            _decode(path, raw)
        except Unusable as error:
            if not among_others:
                raise DataError(f"--noise {path}: {error}") from error
            lost.append(f"{name} ({error.reason})")
            continue
        files.append((name, raw))
    if lost:
        progress.warn(f"skipped {count_of(len(lost), 'file')} of noise: {work.some_of(lost)}")
    found = Noises(stored, speakers, files)
    if not found.names:
        raise DataError("--noise: no usable recording of noise")
    return found


def _decode(path: Path, raw: Path) -> None:
    with raw.open("wb") as file:
        audio = decode_audio(path, file)
    unchanged.check(path)
    if audio.peak <= SILENT_PEAK:
        raise Unusable("silent", f"its largest sample is {audio.peak} of 32768")
