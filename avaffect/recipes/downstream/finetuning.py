"""Training of `finetune`, started only if there is work to do."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from avaffect.core import seeds
from avaffect.core.errors import DataError
from avaffect.core.hashing import has_digest
from avaffect.core.headers import ClassifierHeader, RunHeader
from avaffect.core.headers import Run as KeptRun
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance
from avaffect.data.batches import Bucketed, Vectors
from avaffect.data.dataset import Dataset
from avaffect.data.store.reader import Store
from avaffect.evaluation.statistics import mean_and_std
from avaffect.models import registry
from avaffect.models.encoder import Encoder
from avaffect.models.heads.labels import LabelHead
from avaffect.models.heads.registry import HEADS
from avaffect.models.inputs import ENCODER, Inputs, as_frames
from avaffect.objectives.base import Objective
from avaffect.objectives.pooling import POOLED
from avaffect.objectives.supervised import Supervised
from avaffect.recipes.common import training_run
from avaffect.recipes.downstream import (
    completed,
    frozen_inputs,
    heads,
    sources,
    training_speakers,
    undertraining,
)
from avaffect.recipes.downstream.freezing import Treatment, treatment_of
from avaffect.recipes.downstream.partitions import Division, divisions_of, tell_parts
from avaffect.recipes.downstream.sources import Opened
from avaffect.recipes.downstream.tasks.labels import Labels, header_of
from avaffect.recipes.downstream.windows import windows_of
from avaffect.recipes.encoding import checkpoints
from avaffect.settings.finetune import AUTO, FinetuneSettings
from avaffect.training import checkpoint
from avaffect.training.device import make_fabric
from avaffect.training.loop import train
from avaffect.training.run import Batches, Outcome, Run
from avaffect.training.spool import Spool

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass
class _Material:
    """What all runs share. pooled: (N, D) where the head reads means of frozen inputs alone; NaN in
    inputs that an utterance lacks."""

    labels: Labels
    dataset: Dataset
    opened: Opened
    treatment: Treatment
    pooled: np.ndarray | None = None

    @property
    def inputs(self) -> Inputs:
        return self.opened.inputs

    @property
    def vectors(self) -> np.ndarray | None:
        """The means, where heads train on them: faces that are augmented have others each time."""
        return self.pooled if self.treatment.augmentation is None else None


def run(
    settings: FinetuneSettings, stores: list[Store], features: Mapping[str, Store], labels: Labels,
    made: Provenance, progress: Progress,
) -> None:  # fmt: skip
    """Train every run and write the classifier.

    Raises DataError where a test speaker's labels were seen before, or there is nothing to learn.
    """
    fabric = make_fabric(settings.device, settings.precision)
    opened = sources.opened(
        settings.encoder, settings.modality, stores, features, fabric.device, progress
    )
    opened.sources.check_ids(labels.utterances.ids, progress)
    labels = labels.chosen(opened.sources.shown(opened.inputs, labels.utterances.ids, progress))
    divisions = divisions_of(settings, labels)
    dataset = opened.sources.dataset(labels.utterances.ids, settings.seed)
    dataset = labels.label(dataset, completed.steps_hz(settings, opened.inputs))
    treatment = treatment_of(settings, opened.inputs.encoder, stores, opened.sources.streams)
    material = _Material(labels, dataset, opened, treatment)
    for division in divisions:
        _check(settings, division, material)
    version = opened.header.version
    if settings.encoder is not None and not has_digest(version):
        progress.warn(
            f"{settings.encoder} is of version {version}, which has no digest of the "
            "header: that it has seen no labels of test speakers is taken as it stands there"
        )
    tell_parts(settings, divisions, labels, progress)
    _tell_doubts(settings, divisions, labels, progress)
    with training_run.running(settings, made, fabric, progress) as started:
        if started is None:
            return
        means = HEADS[settings.head].load().reads_means and not labels.over_time
        if settings.mode == "frozen" and means:
            material.pooled = frozen_inputs.pooled_means(
                opened.inputs, dataset, settings.batch_seconds, started, fabric, progress
            )
        finished = [
            _finished(settings, number, division, material, started, fabric, progress)
            for number, division in enumerate(divisions)
        ]
        if fabric.global_rank == 0:
            started.check()
            _save(settings, divisions, finished, material, made, progress)


def _finished(
    settings: FinetuneSettings, number: int, division: Division, material: _Material, run: Run,
    fabric: Fabric, progress: Progress,
) -> Path:  # fmt: skip
    """The weights of a run, in the state folder; it is trained unless that was done before."""
    assert run.folder is not None
    path = run.folder / f"run-{number}.safetensors"
    if not path.exists():
        tags = {k: v for k, v in division.describe().items() if v is not None}
        _run(settings, division, material, replace(run, tags=tags), path, fabric, progress)
    return path


def _check(settings: FinetuneSettings, division: Division, material: _Material) -> None:
    """Refuses one class, an empty part, and test speakers whose labels were seen."""
    utterances = material.labels.utterances
    train_part = utterances.chosen(division.train)
    where = str(settings.media[0])
    if not train_part.ids:
        raise DataError(f"{where}: no labelled utterance to train on")
    material.labels.chosen(division.train).check(where)
    tested = set(utterances.chosen(division.test).speakers) - {""}
    seen = set(train_part.speakers) | set(utterances.chosen(division.development).speakers)
    if tested & seen:
        raise DataError(
            f"{where}: the test speaker {min(tested & seen)} is also in train or development; "
            "split by speaker with `avaffect split --by speaker`"
        )
    before = tested & set(material.opened.labelled_speakers)
    if before and settings.mode != "scratch":
        source = settings.encoder or "the model behind the features"
        raise DataError(
            f"{source} has seen labels of the test speaker {min(before)}: a score on "
            f"such speakers says nothing ({len(before)} of {len(tested)}); adapt and train the "
            "projector on the training split, or test on other speakers"
        )


def _tell_doubts(
    settings: FinetuneSettings, divisions: list[Division], labels: Labels, progress: Progress
) -> None:
    if settings.select == "none":
        return
    parts = [d.development for d in divisions if d.development.any()]
    for words in dict.fromkeys(w for part in parts for w in labels.chosen(part).doubts()):
        progress.warn(words)


def _run(
    settings: FinetuneSettings,
    division: Division,
    material: _Material,
    run: Run,
    path: Path,
    fabric: Fabric,
    progress: Progress,
) -> None:
    """Train one run and keep its weights in the state folder."""
    torch.manual_seed(seeds.derive(division.seed, "initialise"))
    frozen = settings.mode == "frozen"
    inputs = material.inputs if frozen else _own_inputs(settings, material.inputs)
    train_part = material.labels.chosen(division.train)
    head = train_part.head(
        str(settings.media[0]),
        lambda outputs: heads.new_head(settings, inputs.described, outputs),
    )
    folder = path.with_suffix("")
    folder.mkdir(exist_ok=True)
    run = replace(run, seed=division.seed, folder=folder)
    if frozen:
        _standardise(head, settings, division, material, run, fabric, progress)
    objective = Supervised(
        head,
        train_part.criteria(),
        inputs if material.vectors is None else None,
        frozen,
        completed.rates(settings),
        settings.head_penalty / division.train.sum(),
    )
    material.treatment.apply(objective)
    has_development = bool(division.development.any()) and settings.select != "none"

    def evaluate(_: Objective, kept: Spool | None) -> dict[str, float]:
        return _score(head, inputs, material, division, settings, fabric, progress, kept)

    selected = completed.selected(settings, material.labels)
    batches = _batches(settings, division, material)
    outcome = train(
        objective,
        batches,
        completed.long_enough(settings, batches),
        replace(
            run,
            evaluate=evaluate if has_development else None,
            select=selected if has_development else None,
            steady=settings.select == AUTO,
        ),
        fabric,
        progress,
    )
    if fabric.global_rank == 0:
        run.check()
        _keep(head, None if frozen else inputs.encoders[ENCODER], train_part, outcome, run, path)
        # What the finished run would have been resumed from.
        shutil.rmtree(folder, ignore_errors=True)
    fabric.barrier()


def _keep(
    head: LabelHead, trained: Encoder | None, part: Labels, outcome: Outcome, run: Run, path: Path
) -> None:
    """Write a run's weights, and those of an encoder that it trained, with its metrics."""
    weights = {f"head.{name}": tensor for name, tensor in head.state_dict().items()}
    if trained is not None:
        weights |= {f"encoder.{n}": tensor for n, tensor in trained.state_dict().items()}
    assert run.history is not None
    metrics = {
        "development": outcome.best,
        "first": outcome.first,
        "last": outcome.last,
        "training": undertraining.ended(run.history, run.tags, part, outcome.kept_last),
    }
    checkpoint.write(path, RunHeader(model=registry.describe(head), metrics=metrics), weights)


def _own_inputs(settings: FinetuneSettings, inputs: Inputs) -> Inputs:
    """Inputs whose encoder a run trains itself: a fresh copy, or random weights from scratch."""
    assert settings.encoder is not None
    encoder, header = checkpoints.load_encoder(settings.encoder, torch.device("cpu"))
    if settings.mode == "scratch":
        encoder = registry.build(header.model)
    return Inputs({**inputs.encoders, ENCODER: encoder})


def _standardise(
    head: LabelHead, settings: FinetuneSettings, division: Division, material: _Material, run: Run,
    fabric: Fabric, progress: Progress,
) -> None:  # fmt: skip
    """Give a head the statistics of the training part: of the means, or of all frames."""
    rows = np.flatnonzero(division.train)
    if material.pooled is not None:
        frozen_inputs.standardise_by_means(head, material.pooled[rows])
    else:
        frozen_inputs.standardise_by_frames(
            head, material.inputs, material.dataset.subset(rows), settings.batch_seconds, run,
            fabric, progress,
        )  # fmt: skip


def _batches(settings: FinetuneSettings, division: Division, material: _Material) -> Batches:
    """Training batches; of means that are computed once, vectors."""
    rows = np.flatnonzero(division.train)
    if material.vectors is None:
        dataset = material.dataset.subset(rows)
        dataset.crop_s, dataset.seed = settings.crop_seconds, division.seed
        return Bucketed(dataset, settings.batch_seconds, settings.batch_utterances, division.seed)
    labels = {name: values[rows] for name, values in material.dataset.labels.items()}
    return Vectors(
        POOLED, material.vectors[rows], labels, settings.batch_utterances, division.seed
    )  # fmt: skip


def _score(
    head: LabelHead,
    inputs: Inputs,
    material: _Material,
    division: Division,
    settings: FinetuneSettings,
    fabric: Fabric,
    progress: Progress,
    kept: Spool | None,
) -> dict[str, float]:
    """Scores on development."""
    rows = np.flatnonzero(division.development)
    labels = material.labels.chosen(division.development)
    rate_hz = completed.steps_hz(settings, inputs)
    if material.pooled is not None:
        vectors = torch.from_numpy(material.pooled[rows]).to(fabric.device)
        said = head.utterances(head(as_frames(vectors, head.head.inputs)))
        return labels.score(said.cpu().numpy(), None, rate_hz)
    dataset = material.dataset.subset(rows)
    utterances = traces = None
    with progress.task("development", len(rows)):
        if labels.over_time:
            found = heads.traces(
                inputs, [head], dataset, fabric.device, settings.batch_seconds, progress,
                windows_of(settings.window), kept,
            )  # fmt: skip
            traces = [row[:, 0] for row in found]
        if len(labels.over_time) < len(labels.tasks):
            # What is kept of an evaluation that is interrupted is of one pass.
            kept = None if labels.over_time else kept
            utterances = heads.utterance_scores(
                inputs, [head], dataset, fabric.device, settings.batch_seconds, progress, kept
            )[:, 0]
    return labels.score(utterances, traces, rate_hz)


def _save(
    settings: FinetuneSettings,
    divisions: list[Division],
    finished: list[Path],
    material: _Material,
    made: Provenance,
    progress: Progress,
) -> None:
    assert settings.mode is not None
    weights: dict[str, torch.Tensor] = {}
    runs = []
    for number, (division, path) in enumerate(zip(divisions, finished)):
        header, tensors = checkpoint.read(path, RunHeader)
        weights |= {f"runs.{number}.{name}": tensor for name, tensor in tensors.items()}
        runs.append(KeptRun(**division.describe(), metrics=header.metrics))
    trained = np.any([division.train | division.development for division in divisions], axis=0)
    utterances, opened = material.labels.utterances, material.opened
    before = opened.labelled_speakers
    rate_hz = material.inputs.rate_hz
    whole = ClassifierHeader(
        model=header.model,
        encoder=opened.header.model,
        inputs=sources.described(material.inputs),
        features=dict(opened.made) or None,
        mode=settings.mode,
        classes=settings.classes,
        preprocessing=replace(
            opened.header.preprocessing, streams=opened.sources.streams, rate_hz=rate_hz
        ),
        runs=tuple(runs),
        provenance=made,
        labelled_speakers=tuple(sorted({*before, *utterances.chosen(trained).speakers} - {""})),
        seen=training_speakers.described(
            divisions, utterances, [] if settings.mode == "scratch" else before
        ),
        **header_of(material.labels, completed.steps_hz(settings, material.inputs), settings),
    )
    checkpoint.write(settings.output, whole, weights)
    undertraining.tell(settings, [run.metrics for run in runs], progress)
    selected = completed.selected(settings, material.labels)
    values = [run.metrics["development"].get(selected) for run in runs]
    known = [value for value in values if value is not None]
    word = ""
    if known:
        mean, std = mean_and_std(known)
        spread = f" +- {std:.3f}" if len(known) > 1 else ""
        word = f", development {selected} {mean:.3f}{spread}"
    of_folds = f" of {settings.folds} folds" if settings.folds else ""
    plural = "s" if settings.runs > 1 else ""
    progress.say(f"{settings.output}: {settings.runs} run{plural}{of_folds}{word}")
