"""Augmentation of sound in `finetune`: checked before training, and the noise that it draws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from avaffect.core.errors import DataError, UsageError
from avaffect.core.nouns import count_of
from avaffect.core.streams import FACE, WAVEFORM
from avaffect.data.dataset import Dataset
from avaffect.data.labels import Annotations
from avaffect.models.encoder import Encoder, Maskable
from avaffect.models.whisper import Whisper
from avaffect.objectives.sound_augmentation import SoundAugmentation
from avaffect.recipes.common.recorded_noise import stored_recordings
from avaffect.recipes.common.stores import open_stores
from avaffect.recipes.downstream.labelled_data import Utterances
from avaffect.settings import augmentation as names
from avaffect.settings.finetune import FinetuneSettings
from avaffect.signal import noise
from avaffect.signal.sound.changes import SoundChange
from avaffect.signal.sound.disturbances import VOICES, Disturbance
from avaffect.signal.sound.rooms import Room
from avaffect.signal.sound.speed import perturbed

# Splits whose recordings are no noise in training.
KEPT_APART = ("development", "test")


@dataclass(frozen=True)
class NoiseStore:
    """Recordings with audio, and who speaks there, "" where it is not known.

    speaker_of: id of a labelled utterance -> its speaker, whose recordings it does not get;
    left_out: ids that nobody gets.
    """

    dataset: Dataset
    speakers: np.ndarray
    speaker_of: Mapping[str, str]
    left_out: frozenset[str] = frozenset()

    @classmethod
    def of(cls, paths: Sequence[Path], utterances: Utterances) -> NoiseStore:
        """What the stores hold outside development and test.

        Raises DataError where they have no audio.
        """
        stores = open_stores(paths)
        dataset, speakers = stored_recordings(stores)
        column = [s for store in stores for s in Annotations({}).field(store, "split")]
        split_of = dict(zip((i for store in stores for i in store.ids), column))
        rows = [n for n, i in enumerate(dataset.ids) if split_of[i] not in KEPT_APART]
        if not rows:
            raise DataError(f"{paths[0]} (--noise-store): no utterance to train on has audio")
        speaker_of = dict(zip(utterances.ids, utterances.speakers))
        chosen = np.array([speakers[row] for row in rows], dtype=object)
        return cls(dataset.subset(np.array(rows)), chosen, speaker_of)

    def without(self, ids: frozenset[str]) -> NoiseStore:
        return replace(self, left_out=ids)

    def check(self, voices: int) -> None:
        """Raises DataError where somebody would have fewer recordings of others than voices."""
        there = [s for s, i in zip(self.speakers, self.dataset.ids) if i not in self.left_out]
        most = max(Counter(s for s in there if s).values(), default=1)
        if len(there) - most < voices:
            raise DataError(
                f"--noise-store needs {count_of(voices, 'recording')} of other speakers beside "
                f"each utterance, and there are {max(0, len(there) - most)}; give more"
            )

    def piece(
        self, identifier: str, length: int, voices: int, random: np.random.Generator
    ) -> np.ndarray:
        """See `Recordings`; of other speakers than the utterance's. Raises DataError where too many
        recordings are silent."""
        speaker = self.speaker_of.get(identifier) or None
        found: list[np.ndarray] = []
        for row in random.permutation(len(self.dataset)):
            other = self.dataset.ids[row]
            if other == identifier or self.speakers[row] == speaker or other in self.left_out:
                continue
            part = noise.piece(self.dataset.read(WAVEFORM, row), length, float(random.random()))
            if part is not None:
                found.append(part)
            if len(found) == voices:
                return noise.babble(found) if voices > 1 else found[0]
        raise DataError(
            f"--noise-store: {identifier} needs {count_of(voices, 'recording')} of other speakers "
            f"that are not silent, and there are {len(found)}; give more"
        )


@dataclass(frozen=True)
class SoundTreatment:
    """The augmentation of sound, with the stores of its noise."""

    augmentation: SoundAugmentation

    def of(self, kept_apart: frozenset[str]) -> SoundAugmentation:
        """That of a run; kept_apart: ids of utterances that it is not trained on, which are no
        noise to it either. Raises DataError where too few recordings are left."""
        changes: list[SoundChange] = []
        for change in self.augmentation.changes:
            if isinstance(change, Disturbance) and isinstance(change.recordings, NoiseStore):
                recordings = change.recordings.without(kept_apart)
                recordings.check(change.voices[1])
                change = replace(change, recordings=recordings)
            changes.append(change)
        return replace(self.augmentation, changes=tuple(changes))


def sound_treatment(
    settings: FinetuneSettings,
    encoder: Encoder | None,
    streams: Sequence[str],
    utterances: Utterances,
) -> SoundTreatment | None:
    """The options of the settings, checked before training; None without any.

    streams: the encoder's inputs. Raises UsageError for augmentations that do not suit the encoder,
    DataError for stores without audio.
    """
    wanted = settings.of_sound
    if not wanted:
        return None
    _check(wanted, encoder, streams)
    snr = names.SNR_DB if settings.snr_range is None else settings.snr_range
    changes: list[SoundChange] = []
    for name in wanted:
        if name in (names.NOISE, names.BABBLE):
            recordings = NoiseStore.of(settings.noise_store, utterances)
            voices = VOICES if name == names.BABBLE else (1, 1)
            changes.append(Disturbance(recordings, snr, voices))
        elif name == names.ROOM:
            changes.append(Room(_responses(settings.room_store)))
        elif name == names.SPEED:
            changes.append(perturbed)
    alpha = names.ALPHA if settings.mixup_alpha is None else settings.mixup_alpha
    return SoundTreatment(
        SoundAugmentation(
            tuple(changes),
            alpha if names.MIXUP in wanted else None,
            names.SPECAUGMENT in wanted,
        )
    )


def _check(wanted: Sequence[str], encoder: Encoder | None, streams: Sequence[str]) -> None:
    if encoder is None or WAVEFORM not in streams:
        read = "features" if encoder is None else " and ".join(streams)
        raise UsageError(f"--augment {wanted[0]} changes sound, and the input is {read} alone")
    alone = [name for name in wanted if name in names.OF_SOUND_ALONE]
    if alone and FACE in streams:
        raise UsageError(
            f"--augment {alone[0]} changes the sound alone, and the encoder reads faces with it: "
            "give --modality audio, or leave it out"
        )
    padded = isinstance(encoder, Whisper) and encoder.configuration.padded
    if names.SPECAUGMENT in wanted and (padded or not isinstance(encoder, Maskable)):
        why = "pads utterances" if padded else "has none"
        raise UsageError(
            f"--augment specaugment masks the local features of an encoder, and this one {why}"
        )


def _responses(paths: Sequence[Path]) -> tuple[np.ndarray, ...]:
    if not paths:
        return ()
    dataset, _ = stored_recordings(open_stores(paths))
    found = [dataset.read(WAVEFORM, row) for row in range(len(dataset))]
    loud = tuple(np.array(response) for response in found if response.any())
    if not loud:
        raise DataError(f"{paths[0]} (--room-store): no response that is not silent")
    return loud
