"""Training of `finetune`, started only if there is work to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from avaffect.core.errors import DataError
from avaffect.core.hashing import has_digest
from avaffect.core.headers import ClassifierHeader, RunHeader, TraceOutputs
from avaffect.core.headers import Run as KeptRun
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance
from avaffect.core.registry import Description
from avaffect.data.dataset import Dataset
from avaffect.data.store.reader import Store
from avaffect.evaluation.statistics import mean_and_std
from avaffect.models.heads.base import FrameHead
from avaffect.models.heads.registry import on_two_streams
from avaffect.models.inputs import Inputs
from avaffect.recipes.common import publishing, training_run
from avaffect.recipes.downstream import (
    bundling,
    completed,
    fitting,
    frozen_frames,
    frozen_inputs,
    lone_utterances,
    modalities,
    sources,
    training_speakers,
    undertraining,
)
from avaffect.recipes.downstream.defaults import last_epoch
from avaffect.recipes.downstream.freezing import treatment_of
from avaffect.recipes.downstream.label_doubts import check_segments, warn_of_lengths
from avaffect.recipes.downstream.material import Material
from avaffect.recipes.downstream.one_run import last_of, train_run
from avaffect.recipes.downstream.partitions import Division, divisions_of, report_divisions
from avaffect.recipes.downstream.recording_facts import recordings_of
from avaffect.recipes.downstream.tasks.labels import Labels
from avaffect.settings.finetune import FinetuneSettings
from avaffect.training import checkpoint
from avaffect.training.device import make_fabric
from avaffect.training.run import Run


def run(
    settings: FinetuneSettings, stores: list[Store], features: Mapping[str, Store], labels: Labels,
    made: Provenance, progress: Progress,
) -> None:  # fmt: skip
    """Train every run and write the classifier.

    Raises DataError where a test speaker's labels were used in earlier training, there is nothing
    to learn, or an encoder of tokens would have to give frames.
    """
    if settings.last is not None:
        # What is there and is something else is found before hours of training.
        publishing.is_done(*last_epoch(settings, made), progress, "")
    material = _material(settings, stores, features, labels, progress)
    divisions = divisions_of(settings, material.labels)
    for division in divisions:
        _check(material, division)
        lone_utterances.check(material, division)
    report_divisions(settings, divisions, material.labels, progress)
    _warn_of_doubts(material, divisions)
    modalities.report(material, divisions)
    fitting.warn_of_cost(material, divisions)
    fabric = material.fabric
    with training_run.running(settings, made, fabric, progress) as started:
        if started is None:
            return
        if material.reads_means:
            material.pooled = frozen_inputs.pooled_means(material, started)
        frozen_frames.compute_once(material, started)
        finished = [
            _finished(material, number, division, replace(started, part=(number, len(divisions))))
            for number, division in enumerate(divisions)
        ]
        if fabric.global_rank == 0:
            started.check()
            if settings.last is not None:
                as_last, made_last = last_epoch(settings, made)
                of_last = replace(material, settings=as_last)
                _save(of_last, divisions, [last_of(path) for path in finished], made_last)
            _save(material, divisions, finished, made)


def _material(
    settings: FinetuneSettings, stores: list[Store], features: Mapping[str, Store], labels: Labels,
    progress: Progress,
) -> Material:  # fmt: skip
    """What all runs share: inputs and options are checked here, before training."""
    fabric = make_fabric(settings.device, settings.precision)
    opened = sources.opened(
        settings.encoder, settings.modality, stores, features, fabric.device, progress,
        completed.read_layers(settings),
        settings.vectors,
    )  # fmt: skip
    opened.inputs.either = on_two_streams(settings.head)
    if settings.bundle:
        bundling.check(settings, opened)
    form = completed.new_head(settings, opened.inputs.described, 1)
    modalities.check_places(form, opened.sources.streams)
    _check_time(settings, form, opened.inputs, labels)
    version = opened.header.version
    if settings.encoder is not None and not has_digest(version):
        progress.warn(
            f"{settings.encoder} is of version {version}, which has no digest of the "
            "header: its list of labelled speakers is taken as it stands there, unchecked"
        )
    opened.sources.check_ids(labels.utterances.ids, progress)
    labels = labels.chosen(opened.sources.shown(opened.inputs, labels.utterances.ids, progress))
    dataset = opened.sources.dataset(labels.utterances.ids, settings.seed)
    for task in labels.traces:
        unfitting = task.unfitting(dataset.durations())
        warn_of_lengths(task.name, dataset.ids, unfitting, progress)
    for task in filter(lambda task: task.ranks, labels.traces):
        labelled = np.array([len(values) > 0 for values in task.traces.values])
        single = np.round(dataset.durations() * form.steps_hz) == 1
        check_segments(task.name, dataset.ids, single, labelled, progress)
    dataset = labels.label(dataset, form.steps_hz)
    _warn_of_whole(settings, form, dataset, progress)
    treatment = treatment_of(
        settings, opened.inputs.encoder, stores, opened.sources.streams, labels.utterances
    )
    return Material(settings, labels, dataset, opened, form, treatment, fabric, progress)


def _warn_of_whole(
    settings: FinetuneSettings, form: FrameHead, dataset: Dataset, progress: Progress
) -> None:
    """Of long recordings that an encoder has to read whole, for a head of whole recordings."""
    longest = float(dataset.durations().max(initial=0))
    if form.whole and settings.encoder is not None and longest > settings.batch_seconds:
        progress.warn(
            f"--head {settings.head} has the encoder read recordings whole, the longest of "
            f"{longest:.0f} s, and memory grows with them: extract --segment SECONDS makes "
            "features to train on, in memory that does not"
        )


def _check_time(
    settings: FinetuneSettings, form: FrameHead, inputs: Inputs, labels: Labels
) -> None:
    """Raises DataError where the encoder gives tokens, and the head or a label needs frames."""
    if form.needs_time:
        inputs.in_time(f"--head {settings.head}")
    for task in labels.over_time:
        inputs.in_time(f"the trace {task.name}")


def _finished(material: Material, number: int, division: Division, run: Run) -> Path:
    """The weights of a run, in the state folder; an interrupted run is trained to its end, and one
    that was finished without --last is trained anew for its last epoch."""
    assert run.folder is not None
    path = run.folder / f"run-{number}.safetensors"
    wanted = (path,) if material.settings.last is None else (path, last_of(path))
    if not all(map(Path.exists, wanted)):
        train_run(material, division, replace(run, tags=division.tags), path)
    return path


def _check(material: Material, division: Division) -> None:
    """Refuses a single class, an empty part, and test speakers whose labels were used in earlier
    training."""
    settings, utterances = material.settings, material.labels.utterances
    train_part = utterances.chosen(division.train)
    where = str(settings.media[0])
    if not train_part.ids:
        raise DataError(f"{where}: no labelled utterance to train on")
    material.labels.chosen(division.train).check(where)
    tested = set(utterances.chosen(division.test).speakers) - {""}
    trained = set(train_part.speakers) | set(utterances.chosen(division.development).speakers)
    if tested & trained:
        words = f"{where}: the test speaker {min(tested & trained)} is also in train or development"
        if not settings.allow_speaker_overlap:
            raise DataError(
                f"{words}; split by speaker with `avaffect split --by speaker`, or "
                "--allow-speaker-overlap for a published division"
            )
        count = f"{len(tested & trained)} of {count_of(len(tested), 'test speaker')}"
        material.progress.warn(f"{words} ({count})")
    before = tested & set(material.opened.labelled_speakers)
    if before and settings.mode != "scratch":
        source = settings.encoder or "the model behind the features"
        raise DataError(
            f"{source} was trained with labels of the test speaker {min(before)}: a score on "
            f"such speakers is no test ({len(before)} of {len(tested)}); adapt and train the "
            "projector on the training split, or test on other speakers"
        )


def _warn_of_doubts(material: Material, divisions: Sequence[Division]) -> None:
    if material.settings.select == "none":
        return
    parts = [d.development for d in divisions if d.development.any()]
    doubts = [words for part in parts for words in material.labels.chosen(part).doubts()]
    for words in dict.fromkeys(doubts):
        material.progress.warn(words)


def _save(
    material: Material, divisions: Sequence[Division], finished: Sequence[Path], made: Provenance
) -> None:
    """Write the classifier of all runs, and report its metrics."""
    settings = material.settings
    weights: dict[str, torch.Tensor] = {}
    runs = []
    unlearned = modalities.unlearned(material, divisions)
    for number, (division, path) in enumerate(zip(divisions, finished)):
        header, tensors = checkpoint.read(path, RunHeader)
        weights |= {f"runs.{number}.{name}": tensor for name, tensor in tensors.items()}
        runs.append(division.described(header.metrics, unlearned[number]))
    whole = _header(material, divisions, header.model, runs, made)
    if settings.bundle:
        whole, weights = bundling.bundled(settings.output, whole, weights)
    checkpoint.write(settings.output, whole, weights)
    if settings.bundle:
        bundling.warn_of_folds(settings.output, whole, material.progress)
    undertraining.warn(settings, [run.metrics for run in runs], material.progress)
    selected = completed.selected(settings, material.labels)
    values = [run.metrics["development"].get(selected) for run in runs]
    known = [value for value in values if value is not None]
    word = ""
    if known:
        mean, std = mean_and_std(known)
        spread = f" +- {std:.3f}" if len(known) > 1 else ""
        word = f", development {selected} {mean:.3f}{spread}"
    of_folds = f" of {count_of(settings.folds, 'fold')}" if settings.folds else ""
    trained = count_of(settings.runs, "run")
    material.progress.say(f"{settings.output}: {trained}{of_folds}{word}")


def _header(
    material: Material, divisions: Sequence[Division], model: Description, runs: Sequence[KeptRun],
    made: Provenance,
) -> ClassifierHeader:  # fmt: skip
    settings, opened, labels = material.settings, material.opened, material.labels
    assert settings.mode is not None
    utterances, before = labels.utterances, opened.labelled_speakers
    trained = np.any([division.train | division.development for division in divisions], axis=0)
    return ClassifierHeader(
        model=model,
        encoder=opened.header.model,
        inputs=sources.described(opened.inputs),
        features=dict(opened.made) or None,
        layers=completed.read_layers(settings),
        mode=settings.mode,
        adapters=material.treatment.adapters,
        classes=settings.classes,
        preprocessing=replace(
            opened.header.preprocessing,
            streams=opened.sources.streams,
            rate_hz=opened.inputs.rate_hz,
        ),
        runs=tuple(runs),
        provenance=made,
        labelled_speakers=tuple(sorted({*before, *utterances.chosen(trained).speakers} - {""})),
        seen=training_speakers.described(
            divisions, utterances, [] if settings.mode == "scratch" else before
        ),
        labels=labels.classes_of("class") or None,
        distributions=labels.classes_of("distribution") or None,
        scalars=tuple(task.name for task in labels.of_kind("scalar")) or None,
        traces=_traces(material) if labels.over_time else None,
        recordings=recordings_of(opened.sources.media, opened.sources.streams),
    )


def _traces(material: Material) -> TraceOutputs:
    settings, over_time = material.settings, material.labels.over_time
    return TraceOutputs(
        names=tuple(task.name for task in over_time),
        rate_hz=material.form.steps_hz,
        delay_s=settings.delay,
        window_s=settings.window,
        losses={task.name: task.losses for task in over_time},
    )
