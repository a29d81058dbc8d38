"""`augment-noise`: add noise to the speech of a store (Shukla et al. 2021, section 7.6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from avaffect.core import seeds
from avaffect.core.launch import part_of
from avaffect.core.nouns import count_of
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import Provenance
from avaffect.core.streams import WAVEFORM
from avaffect.data.dataset import Dataset, dataset_of
from avaffect.data.labels import Annotations
from avaffect.data.store.reader import Store
from avaffect.data.store.writer import store_writer
from avaffect.recipes.common import training_run, work
from avaffect.recipes.common.copied_metadata import Carried
from avaffect.recipes.common.training_run import Work
from avaffect.recipes.media.noise_sources import Sources
from avaffect.settings.augment_noise import AugmentNoiseSettings
from avaffect.signal import noise

if TYPE_CHECKING:
    from avaffect.recipes.media.noises import Noises


def augment_noise(settings: AugmentNoiseSettings, progress: Progress = SILENT) -> None:
    """Add noise to the audio of a store and write the result, utterance by utterance.

    Raises DataError if the store has no audio, or the noise is missing, unreadable or silent.
    """
    store = Store(settings.media)
    audio = dataset_of([store], store.ids, (WAVEFORM,))
    sources = Sources.find(settings.noise)
    inputs = [*work.store_inputs("media", [store]), *sources.inputs]
    made = work.record("augment-noise", settings, inputs)
    if training_run.is_done(
        settings, made, progress, f"add noise to {count_of(store.count, 'utterance')}"
    ):
        return
    with training_run.working(settings, made, progress) as begun:
        if begun is not None:
            _run(settings, store, audio, sources, made, progress, begun)


def _run(
    settings: AugmentNoiseSettings, store: Store, audio: Dataset, sources: Sources,
    made: Provenance, progress: Progress, begun: Work,
) -> None:  # fmt: skip
    # Decoding comes with the work.
    from avaffect.recipes.media import noises

    rows = part_of(settings.shard, range(store.count))
    streams = {
        name: spec
        for name, spec in store.streams.items()
        if name == WAVEFORM or not settings.audio_only
    }
    with store_writer(
        settings.output, made, streams=streams, labels=store.labels, kept=begun.store()
    ) as writer:
        recordings = noises.open_noises(sources, writer.folder, progress)
        mixing = _Mixing(settings, audio, recordings, Annotations({}).field(store, "speaker"))
        carried = Carried(store)
        training_run.say_resumed(len(writer.resumed), progress)
        progress.start("augment-noise", len(rows))
        for row, outcome in zip(rows, writer.resumed):
            mixing.note(outcome, store.ids[row])
            progress.advance()
        for row in rows[len(writer.resumed) :]:
            values = {name: store.read(name, row) for name in streams if name != WAVEFORM}
            values[WAVEFORM], facts, outcome = mixing.noisy(row)
            carried.add(writer, row, {"streams": values}, facts)
            writer.done(outcome)
            mixing.note(outcome, store.ids[row])
            progress.advance()
        progress.finish()
    mixing.report(len(rows), progress)


@dataclass
class _Mixing:
    """One run: mixes and counts.

    silent, soundless: ids of unchanged utterances; lowered: of those that were attenuated with
    their noise, so that the sum does not clip.
    """

    settings: AugmentNoiseSettings
    audio: Dataset
    recordings: Noises
    speakers: list[str]
    mixed: int = 0
    silent: list[str] = field(default_factory=list)
    soundless: list[str] = field(default_factory=list)
    lowered: list[str] = field(default_factory=list)

    def note(self, outcome: str, identifier: str) -> None:
        """Count an utterance; outcome: of `noisy`."""
        listed = {"silent": self.silent, "soundless": self.soundless, "lowered": self.lowered}
        if outcome in listed:
            listed[outcome].append(identifier)
        self.mixed += outcome in ("mixed", "lowered")

    def noisy(self, row: int) -> tuple[np.ndarray, dict[str, Any], str]:
        """The waveform of an utterance with its noise, its new fields, and what became of it."""
        from avaffect.recipes.media.noises import QUIET

        identifier, values = self.audio.ids[row], self.audio.read(WAVEFORM, row)
        speech = noise.unit_scale(values)
        if float(np.abs(speech).max(initial=0.0)) <= QUIET:
            unchanged = "silent" if len(values) else "soundless"
            return values, {"noise": "", "snr_db": np.nan}, unchanged
        disturbance, names = self.recordings.piece(
            self.settings.seed, identifier, self.speakers[row], len(speech), self.settings.babble
        )
        ratio = self._ratio(identifier)
        found, factor = noise.fitted(noise.mix(speech, disturbance, ratio))
        outcome = "lowered" if factor < 1 else "mixed"
        fields = {"noise": " + ".join(names), "snr_db": ratio}
        return noise.as_type(found, values.dtype), fields, outcome

    def _ratio(self, identifier: str) -> float:
        if self.settings.snr is not None:
            return self.settings.snr
        low, high = self.settings.range_db
        return float(seeds.generator(self.settings.seed, "snr", identifier).uniform(low, high))

    def report(self, count: int, progress: Progress) -> None:
        """The summary: how many of `count` utterances were changed, and which were not."""
        from avaffect.data.decoding.audio import SILENT_PEAK

        if self.silent:
            progress.warn(
                f"{count_of(len(self.silent), 'utterance is', 'utterances are')} silent (no sample "
                f"above {SILENT_PEAK} of 32768) and were not changed: {work.some_of(self.silent)}"
            )
        if self.lowered:
            progress.warn(
                f"{count_of(len(self.lowered), 'utterance was', 'utterances were')} attenuated, "
                "speech and noise alike, so that the sum does not clip: "
                f"{work.some_of(self.lowered)}"
            )
        if self.soundless:
            progress.say(
                f"{count_of(len(self.soundless), 'utterance has', 'utterances have')} no audio, "
                "not changed"
            )
        low, high = self.settings.snr_range or (self.settings.snr, self.settings.snr)
        at = f"{low:g} dB" if low == high else f"{low:g} to {high:g} dB"
        progress.say(
            f"{self.settings.output}: noise at {at} in {self.mixed} of "
            f"{count_of(count, 'utterance')}, from "
            f"{count_of(len(self.recordings.names), 'recording')}"
        )
