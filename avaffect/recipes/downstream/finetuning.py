"""How `finetune` trains, once it is known that there is work to do."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from avaffect.core import seeds
from avaffect.core.errors import DataError
from avaffect.core.hashing import has_digest
from avaffect.core.headers import ClassifierHeader, EncoderHeader, RunHeader
from avaffect.core.headers import Run as KeptRun
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance
from avaffect.data.batches import Bucketed, Vectors
from avaffect.data.dataset import Dataset, dataset_of
from avaffect.data.store.reader import Store
from avaffect.evaluation.statistics import mean_and_std
from avaffect.models import registry
from avaffect.models.encoder import Encoder
from avaffect.objectives.pooling import POOLED
from avaffect.objectives.supervised import Downstream
from avaffect.recipes.common import training_run
from avaffect.recipes.downstream import training_speakers, undertraining
from avaffect.recipes.downstream.freezing import Treatment, treatment_of
from avaffect.recipes.downstream.heads import AnyHead
from avaffect.recipes.downstream.partitions import Division, divisions_of, tell_parts
from avaffect.recipes.downstream.tasks import ClassTask, Task
from avaffect.recipes.encoding import checkpoints, extraction
from avaffect.recipes.encoding.input_streams import chosen_streams, those_with_frames
from avaffect.settings.finetune import AUTO, FinetuneSettings
from avaffect.training import checkpoint
from avaffect.training.device import make_fabric
from avaffect.training.loop import train
from avaffect.training.run import Batches, Run
from avaffect.training.spool import Spool

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass
class _Material:
    """What all runs share. encoder: the frozen one, or features that are given; None where each
    run trains its own. pooled: (N, D) where a dense head reads the means of a frozen encoder."""

    task: Task
    dataset: Dataset
    header: EncoderHeader
    treatment: Treatment
    encoder: Encoder | None = None
    pooled: np.ndarray | None = None

    @property
    def of_vectors(self) -> bool:
        """Whether heads train on these means: faces that are augmented have others each time."""
        return self.pooled is not None and self.treatment.augmentation is None


def run(
    settings: FinetuneSettings, stores: list[Store], task: Task, made: Provenance,
    progress: Progress,
) -> None:  # fmt: skip
    """Train every run and write the classifier.

    Raises DataError where a test speaker's labels were seen before, or there is nothing to learn.
    """
    fabric = make_fabric(settings.device, settings.precision)
    if settings.encoder is None:
        encoder, header = checkpoints.given_features(stores, progress)
    else:
        encoder, header = checkpoints.load_encoder(settings.encoder, fabric.device)
    streams = chosen_streams(encoder, settings.modality, stores)
    task = task.of(those_with_frames(encoder, stores, task.utterances, streams, progress))
    divisions = divisions_of(settings, task)
    dataset = dataset_of(stores, task.utterances.ids, streams, seed=settings.seed)
    dataset = task.label(dataset, encoder.rate_hz / settings.frames_per_step)
    treatment = treatment_of(settings, encoder, stores, streams)
    material = _Material(task, dataset, header, treatment)
    for division in divisions:
        _check(settings, division, material)
    if settings.encoder is not None and not has_digest(header.version):
        progress.warn(
            f"{settings.encoder} is of version {header.version}, which has no digest of the "
            "header: that it has seen no labels of test speakers is taken as it stands there"
        )
    tell_parts(settings, divisions, task, progress)
    _tell_doubts(settings, divisions, task, progress)
    with training_run.running(settings, made, fabric, progress) as opened:
        if opened is None:
            return
        if settings.mode == "frozen":
            material.encoder = encoder
            if settings.head == "linear" and isinstance(task, ClassTask):
                material.pooled = _pooled(settings, encoder, dataset, opened, fabric, progress)
        finished = [
            _finished(settings, number, division, material, opened, fabric, progress)
            for number, division in enumerate(divisions)
        ]
        if fabric.global_rank == 0:
            opened.check()
            _save(settings, divisions, finished, material, made, progress)


def _finished(
    settings: FinetuneSettings, number: int, division: Division, material: _Material, run: Run,
    fabric: Fabric, progress: Progress,
) -> Path:  # fmt: skip
    """The weights of a run, in the state folder; it is trained unless that was done before."""
    path = run.folder / f"run-{number}.safetensors"
    if not path.exists():
        tags = {k: v for k, v in division.describe().items() if v is not None}
        _run(settings, division, material, replace(run, tags=tags), path, fabric, progress)
    return path


def _pooled(
    settings: FinetuneSettings,
    encoder: Encoder,
    dataset: Dataset,
    run: Run,
    fabric: Fabric,
    progress: Progress,
) -> np.ndarray:
    extractor = extraction.wrap_encoder(encoder, None, {}, tuple(dataset.columns))
    kept = run.spool("features", progress.warn, fabric.global_rank == 0)
    with progress.task("features", len(dataset)):
        return extraction.pooled_means(
            extractor, dataset, fabric.device, progress, settings.batch_seconds, kept=kept
        )


def _check(settings: FinetuneSettings, division: Division, material: _Material) -> None:
    """Refuses one class, an empty part, and test speakers whose labels were seen."""
    utterances = material.task.utterances
    train_part = utterances.chosen(division.train)
    where = str(settings.media[0])
    if not train_part.ids:
        raise DataError(f"{where}: no labelled utterance to train on")
    material.task.check(train_part, where)
    tested = set(utterances.chosen(division.test).speakers) - {""}
    seen = set(train_part.speakers) | set(utterances.chosen(division.development).speakers)
    if tested & seen:
        raise DataError(
            f"{where}: the test speaker {min(tested & seen)} is also in train or development; "
            "split by speaker with `avaffect split --by speaker`"
        )
    before = tested & set(material.header.labelled_speakers)
    if before and settings.mode != "scratch":
        source = settings.encoder or "the model behind the features"
        raise DataError(
            f"{source} has seen labels of the test speaker {min(before)}: a score on "
            f"such speakers says nothing ({len(before)} of {len(tested)}); adapt and train the "
            "projector on the training split, or test on other speakers"
        )


def _tell_doubts(
    settings: FinetuneSettings, divisions: list[Division], task: Task, progress: Progress
) -> None:
    if settings.select == "none":
        return
    parts = [d.development for d in divisions if d.development.any()]
    for words in dict.fromkeys(w for p in parts for w in task.doubts(task.utterances.chosen(p))):
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
    encoder = material.encoder if frozen else _encoder(settings)
    head = material.task.head(settings, encoder.dim, division.train)
    run = replace(run, seed=division.seed, folder=run.folder / path.stem)
    run.folder.mkdir(exist_ok=True)
    if frozen:
        _standardise(head, settings, division, material, run, fabric, progress)
    rates = {"encoder": settings.learning_rate, "heads": settings.head_learning_rate}
    read = None if material.of_vectors else encoder
    penalty = settings.head_penalty / division.train.sum()
    objective = material.task.objective(head, read, frozen, rates, penalty)
    material.treatment.apply(objective)
    has_development = bool(division.development.any()) and settings.select != "none"

    def evaluate(trained: Downstream, kept: Spool | None) -> dict[str, float]:
        return _score(trained.head, encoder, material, division, settings, fabric, progress, kept)

    selected = _selected(settings, material.task)
    batches = _batches(settings, division, material)
    outcome = train(
        objective,
        batches,
        _long_enough(settings, batches),
        replace(
            run,
            evaluate=evaluate if has_development else None,
            select=selected if has_development else None,
            steady=settings.select == AUTO,
        ),
        fabric,
        progress,
    )
    weights = {f"head.{name}": tensor for name, tensor in head.state_dict().items()}
    if not frozen:
        weights |= {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    metrics = {"development": outcome.best, "first": outcome.first, "last": outcome.last}
    if fabric.global_rank == 0:
        run.check()
        metrics["training"] = undertraining.ended(
            run.history, run.tags, material.task,
            material.task.utterances.chosen(division.train), outcome.kept_last,
        )  # fmt: skip
        kept_run = RunHeader(model=registry.describe(head), metrics=metrics)
        checkpoint.write(path, kept_run, weights)
        # What the finished run would have been resumed from.
        shutil.rmtree(run.folder, ignore_errors=True)
    fabric.barrier()


def _selected(settings: FinetuneSettings, task: Task) -> str:
    """The score that epochs are chosen by."""
    return task.scores[0] if settings.select == AUTO else settings.select


def _long_enough(settings: FinetuneSettings, batches: Batches) -> FinetuneSettings:
    """The settings with as many epochs as make the fewest steps that were asked for."""
    if settings.epochs is None:
        return settings
    steps = -(-max(1, len(batches.plan(0))) // settings.accumulate)
    return replace(settings, epochs=max(settings.epochs, -(-settings.least_steps // steps)))


def _encoder(settings: FinetuneSettings) -> Encoder:
    encoder, header = checkpoints.load_encoder(settings.encoder, torch.device("cpu"))
    return registry.build(header.model) if settings.mode == "scratch" else encoder


def _standardise(
    head: AnyHead,
    settings: FinetuneSettings,
    division: Division,
    material: _Material,
    run: Run,
    fabric: Fabric,
    progress: Progress,
) -> None:
    """Give a head the statistics of the training part: of the means, or of all frames."""
    rows = np.flatnonzero(division.train)
    if material.pooled is not None:
        head.standardisation.fit(torch.from_numpy(material.pooled[rows]))
        return
    extractor = extraction.wrap_encoder(
        material.encoder.to(fabric.device), None, {}, tuple(material.dataset.columns)
    )
    mean, std = extraction.statistics(
        extractor, material.dataset.subset(rows), fabric.device, settings.batch_seconds, progress,
        run.spool("statistics", progress.warn, fabric.global_rank == 0),
    )  # fmt: skip
    head.standardisation.set(torch.from_numpy(mean), torch.from_numpy(std))


def _batches(settings: FinetuneSettings, division: Division, material: _Material) -> Batches:
    """Training batches; of means that are computed once, vectors."""
    rows = np.flatnonzero(division.train)
    if not material.of_vectors:
        dataset = material.dataset.subset(rows)
        dataset.crop_s, dataset.seed = settings.crop_seconds, division.seed
        return Bucketed(dataset, settings.batch_seconds, settings.batch_utterances, division.seed)
    labels = {name: values[rows] for name, values in material.dataset.labels.items()}
    return Vectors(
        POOLED, material.pooled[rows], labels, settings.batch_utterances, division.seed
    )  # fmt: skip


def _score(
    head: AnyHead,
    encoder: Encoder,
    material: _Material,
    division: Division,
    settings: FinetuneSettings,
    fabric: Fabric,
    progress: Progress,
    kept: Spool | None,
) -> dict[str, float]:
    """Scores on development."""
    rows = np.flatnonzero(division.development)
    if material.pooled is not None and isinstance(material.task, ClassTask):
        vectors = torch.from_numpy(material.pooled[rows]).to(fabric.device)
        targets = material.task.utterances.targets[rows]
        return material.task.scored(targets, head(vectors).cpu().numpy())
    with progress.task("development", len(rows)):
        return material.task.score(
            head, encoder, material.dataset.subset(rows), fabric.device, settings.batch_seconds,
            progress, kept,
        )  # fmt: skip


def _save(
    settings: FinetuneSettings,
    divisions: list[Division],
    finished: list[Path],
    material: _Material,
    made: Provenance,
    progress: Progress,
) -> None:
    weights, runs = {}, []
    for number, (division, path) in enumerate(zip(divisions, finished)):
        header, tensors = checkpoint.read(path, RunHeader)
        weights |= {f"runs.{number}.{name}": tensor for name, tensor in tensors.items()}
        runs.append(KeptRun(**division.describe(), metrics=header.metrics))
    trained = np.any([division.train | division.development for division in divisions], axis=0)
    task = material.task
    speakers = task.utterances.chosen(trained).speakers
    before = material.header.labelled_speakers
    rate_hz = material.header.rate_hz / settings.frames_per_step
    whole = ClassifierHeader(
        model=header.model,
        encoder=material.header.model,
        mode=settings.mode,
        classes=settings.classes,
        preprocessing=replace(
            material.header.preprocessing, streams=tuple(material.dataset.columns)
        ),
        runs=tuple(runs),
        provenance=made,
        labelled_speakers=tuple(sorted({*before, *speakers} - {""})),
        seen=training_speakers.described(
            divisions, task.utterances, [] if settings.mode == "scratch" else before
        ),
        **task.header(rate_hz),
    )
    checkpoint.write(settings.output, whole, weights)
    undertraining.tell(settings, [run.metrics for run in runs], progress)
    selected = _selected(settings, task)
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
