"""`extract --frames-of` and `--frames-at`: frames of recordings become utterances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance
from avaffect.core.streams import MEAN
from avaffect.data.dataset import Dataset, dataset_of
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec, PooledSpec
from avaffect.data.store.writer import store_writer
from avaffect.data.tables.reader import of_part
from avaffect.recipes.common import training_run, work
from avaffect.recipes.common.copied_metadata import Carried
from avaffect.recipes.common.training_run import Work
from avaffect.recipes.encoding import around
from avaffect.recipes.encoding.extraction import Extractor
from avaffect.recipes.encoding.labels_over_time import label_of
from avaffect.recipes.encoding.spoken import RECORDING, RECORDING_START
from avaffect.settings.extract import ExtractSettings


@dataclass(frozen=True)
class _Choice:
    """Which frames: each `every`-th at rate_hz; `of` a label those alone whose class is known.

    labels: the classes over time that frames carry.
    """

    rate_hz: float
    labels: dict[str, LabelSpec]
    of: str | None = None
    every: int = 1

    @classmethod
    def by(cls, settings: ExtractSettings, store: Store) -> _Choice:
        """Raises DataError where the store has no such label."""
        name = settings.frames_of
        if name is not None:
            spec = label_of(store, name)
            return cls(spec.rate_hz, {name: spec}, name, settings.every)
        assert settings.frames_at is not None
        known = {n: s for n, s in store.labels.items() if s.kind == "trace" and s.classes}
        return cls(settings.frames_at, known)

    def steps(self, store: Store, row: int, recording: Dataset) -> np.ndarray:
        """(K,) int64 numbers of the frames of a recording."""
        if self.of is None:
            return np.arange(round(float(recording.durations()[0]) * self.rate_hz))
        values = np.asarray(store.trace(self.of, row))
        steps = np.arange(0, len(values), self.every)
        return steps[~np.isnan(values[steps])]

    def classes(self, store: Store, row: int, times: np.ndarray) -> dict[str, list[str | None]]:
        """Label -> its class at each of these times (K,) in seconds, None where it is unknown."""
        found: dict[str, list[str | None]] = {}
        for name, spec in self.labels.items():
            # Nothing is known after the last step.
            values = np.append(np.asarray(store.trace(name, row)), np.nan)
            places = np.floor(times * spec.rate_hz + 1e-6).astype(np.int64)
            there = values[places.clip(max=len(values) - 1)]
            found[name] = [None if np.isnan(v) else spec.classes[int(v)] for v in there]
        return found


def run(
    settings: ExtractSettings,
    store: Store,
    rows: Sequence[int],
    extractor: Extractor,
    device: torch.device,
    made: Provenance,
    progress: Progress,
    kept: Work,
) -> None:
    """Write a store of frames: the vector around each, its classes where they are known, and the
    fields of its recording.

    Raises DataError where the store has no such label, or the model gives no frames in time.
    """
    choice = _Choice.by(settings, store)
    made_of = {**extractor.made, "around": settings.around}
    labels = {n: s for n, s in store.labels.items() if s.kind != "trace"}
    over_time = {n: LabelSpec("class", s.classes) for n, s in choice.labels.items()}
    how = around.Around(settings.around, settings.batch_seconds)
    carried, empty, beyond = Carried(store), [], 0
    progress.start("extract", len(rows))
    with store_writer(
        settings.output, made, labels={**labels, **over_time},
        pooled={MEAN: PooledSpec(extractor.dim, made_of)}, kept=kept.store(),
    ) as writer:  # fmt: skip
        training_run.say_resumed(len(writer.resumed), progress)
        for row, facts in zip(rows, writer.resumed):
            beyond += facts["beyond"]
            if not facts["frames"]:
                empty.append(store.ids[row])
            progress.advance(1)
        for row in rows[len(writer.resumed) :]:
            recording = dataset_of([store], [store.ids[row]], extractor.streams)
            steps = choice.steps(store, row, recording)
            times = (steps + 0.5) / choice.rate_hz
            classes = choice.classes(store, row, times)
            own = carried.labels_of(row)
            known = {name: own[name] for name in labels}
            fields = {**carried.fields_of(row), RECORDING: store.ids[row]}
            if "start_s" in fields:
                fields[RECORDING_START] = fields["start_s"]
            count, lasts_s = len(writer.ids), 1 / choice.rate_hz
            for number, vector in around.means(
                extractor, recording, times, how, device, progress, settings.precision
            ):
                step = int(steps[number])
                start = step / choice.rate_hz
                writer.add(
                    of_part(store.ids[row], (start, start + lasts_s)),
                    pooled={MEAN: vector},
                    labels={**known, **{name: of[number] for name, of in classes.items()}},
                    meta={**fields, "start_s": start, "duration_s": lasts_s},
                )
            frames = len(writer.ids) - count
            beyond += len(times) - frames
            if not frames:
                empty.append(store.ids[row])
            writer.done({"frames": frames, "beyond": len(times) - frames})
            progress.advance(1)
    progress.finish()
    _warn(settings, choice.of, empty, beyond, progress)
    progress.say(
        f"{settings.output}: {count_of(len(writer.ids), 'frame')} of "
        f"{count_of(len(rows), 'recording')}"
    )


def _warn(
    settings: ExtractSettings, label: str | None, empty: list[str], beyond: int, progress: Progress
) -> None:
    """empty: recordings without a frame; beyond: frames that the model gives nothing around."""
    if empty:
        what = "frame" if label is None else f"frame of a known {label}"
        progress.warn(
            f"{count_of(len(empty), 'recording has', 'recordings have')} no {what}: "
            f"{work.some_of(empty)}"
        )
    if beyond:
        progress.warn(
            f"{count_of(beyond, 'frame is', 'frames are')} left out: the model gives nothing "
            f"within --around {settings.around:g} s of them, at the end of their recordings or "
            "after it"
        )
