"""Predicted traces as a store: each label, with the runs as its raters."""

from __future__ import annotations

import numpy as np

from avaffect.core.headers import TraceOutputs
from avaffect.core.nouns import count_of
from avaffect.data.store.schema import LabelSpec
from avaffect.data.store.writer import store_writer
from avaffect.data.traces import delayed
from avaffect.recipes.downstream import face_presence, heads
from avaffect.recipes.downstream.prediction_passes import Prediction
from avaffect.recipes.downstream.training_speakers import worst
from avaffect.recipes.downstream.windows import windows_of


def write(prediction: Prediction) -> None:
    """A store with each label as a trace, its raters the runs, and the steps with a face."""
    settings, header = prediction.settings, prediction.header
    facts, utterances = header.traces, prediction.utterances
    assert facts is not None and settings.output is not None
    rate_hz, delay_s = facts.rate_hz, facts.delay_s
    found = _traces(prediction, facts)
    faces, statuses = utterances.faces, []
    spec = LabelSpec("trace", rate_hz=rate_hz, raters=header.run_count)
    streams = {} if faces is None else {face_presence.STREAM: face_presence.stream(rate_hz)}
    specs = {label.name: spec for label in prediction.labels}
    steps = without = 0
    with store_writer(settings.output, prediction.made, streams=streams, labels=specs) as writer:
        for index in sorted(found):
            values = found[index]
            shown = None if faces is None else faces.steps(index, len(values), rate_hz, delay_s)
            fold = utterances.folds[index]
            statuses.append(
                worst(
                    utterances.status(number, index)
                    for number, run in enumerate(header.runs)
                    if run.fold is None or str(run.fold) == fold
                )
            )
            meta: dict[str, str | int] = {
                "speaker": utterances.speakers[index],
                "split": utterances.splits[index],
                # As eval-ccc reads it: each fold is a test set.
                "fold": fold if header.of_folds else "",
                "seen": statuses[-1] or "",
                "source": utterances.media[index] or "",
            }
            given = {}
            if shown is not None:
                given[face_presence.STREAM] = shown.astype(np.uint8)
                meta[face_presence.FIELD] = int((~shown).sum())
                steps, without = steps + len(shown), without + int((~shown).sum())
                if settings.mask_absent:
                    values[~shown] = np.nan
            writer.add(
                utterances.dataset.ids[index],
                streams=given,
                labels={
                    label.name: values[:, :, label.columns.start] for label in prediction.labels
                },
                meta=meta,
            )
    words = f"; {without} of {count_of(steps, 'step has', 'steps have')} no face" if steps else ""
    utterances.report(len(found), statuses, prediction.progress, words)


def _traces(prediction: Prediction, facts: TraceOutputs) -> dict[int, np.ndarray]:
    """Index of an utterance -> (T, runs, labels).

    Of folds, a run predicts the utterances of its test fold. Predictions are delayed by as much as
    the labels were advanced in training, to the time line of the annotations.
    """
    settings, header = prediction.settings, prediction.header
    windows = windows_of(settings.window or facts.window_s, settings.step)
    found: dict[int, np.ndarray] = {}
    for part, dataset in prediction.passes():
        kept = prediction.work.rows(part.name, prediction.progress)
        traces = heads.traces(part.group, dataset, windows, kept)
        for index, values in zip(part.rows[dataset.is_chosen].tolist(), traces):
            values = delayed(values, facts.rate_hz, facts.delay_s)
            shape = len(values), header.run_count, len(facts.names)
            whole = found.setdefault(index, np.full(shape, np.nan, dtype=np.float32))
            whole[:, [header.runs[number].run for number in part.numbers]] = values
    return found
