"""`finetune`: a classifier on an encoder, in one run or several."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from avaffect.core import seeds
from avaffect.core.checkpoint_header import Header
from avaffect.core.errors import DataError, UsageError
from avaffect.core.progress import SILENT, Progress
from avaffect.data.batches import Bucketed, Vectors
from avaffect.data.dataset import Dataset, dataset_of
from avaffect.evaluation.statistics import mean_and_std
from avaffect.models import registry
from avaffect.models.encoder import Encoder
from avaffect.models.heads import Head, HeadConfiguration
from avaffect.models.standardisation import Standardisation
from avaffect.objectives.classification import Classification
from avaffect.objectives.pooling import POOLED
from avaffect.recipes import classifiers, common, encoders, extraction, training
from avaffect.recipes.labelled import LabelledUtterances, labelled_utterances
from avaffect.recipes.modality import chosen_streams, those_with_frames
from avaffect.settings.finetune import FinetuneSettings
from avaffect.training import checkpoint
from avaffect.training.device import make_fabric
from avaffect.training.loop import Batches, Run, train

DEFAULT_EPOCHS = {"fine-tuned": 5, "scratch": 50, "frozen": 50}

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class _Division:
    """Which run, its seed, the fold that it tests, and (N,) masks of its parts.

    All folds of one seed are one run: together they predict every utterance once.
    """

    run: int
    seed: int
    fold: int | None
    train: np.ndarray
    development: np.ndarray
    test: np.ndarray

    def describe(self) -> dict[str, Any]:
        return {"run": self.run, "seed": self.seed, "fold": self.fold}


@dataclass
class _Material:
    """What all runs share. pooled: (N, D) where the encoder is frozen."""

    utterances: LabelledUtterances
    dataset: Dataset
    header: Header
    pooled: np.ndarray | None


def finetune(settings: FinetuneSettings, progress: Progress = SILENT) -> None:
    """Train every run and write the classifier.

    Raises DataError where a test speaker's labels were seen before, or one class is left.
    """
    if settings.epochs is None and settings.steps is None:
        settings = replace(settings, epochs=DEFAULT_EPOCHS[settings.mode])
    if settings.runs < 1 or (settings.folds is not None and settings.folds < 3):
        raise UsageError("--runs is at least 1 and --folds at least 3: test, development, train")
    stores = common.open_stores(settings.media)
    made = common.record(
        "finetune",
        settings,
        [
            *common.store_inputs("media", stores),
            *common.file_inputs("encoder", [settings.encoder]),
            *common.file_inputs("annotations", [settings.annotations]),
        ],
    )
    if training.is_done(settings, made, progress, f"train {settings.runs} classifiers"):
        return
    utterances = labelled_utterances(stores, settings, progress)
    fabric = make_fabric(settings.device, settings.precision)
    encoder, header = encoders.load_encoder(settings.encoder, fabric.device)
    streams = chosen_streams(encoder, settings.modality, stores)
    utterances = those_with_frames(encoder, stores, utterances, streams, progress)
    divisions = _divisions(settings, utterances)
    dataset = dataset_of(
        stores, utterances.ids, streams,
        labels={settings.label: utterances.targets}, seed=settings.seed,
    )  # fmt: skip
    pooled = None
    if settings.mode == "frozen":
        pooled = _pooled(settings, encoder, dataset, fabric, progress)
    material = _Material(utterances, dataset, header, pooled)
    for division in divisions:
        _check(settings, division, material)
    run = training.open_run(settings, made, fabric)
    finished = []
    for number, division in enumerate(divisions):
        path = run.folder / f"run-{number}.safetensors"
        if not path.exists():
            tags = {k: v for k, v in division.describe().items() if v is not None}
            _run(settings, division, material, replace(run, tags=tags), path, fabric, progress)
        finished.append(path)
    if fabric.global_rank == 0:
        _save(settings, divisions, finished, material, made, progress)


def _divisions(settings: FinetuneSettings, utterances: LabelledUtterances) -> list[_Division]:
    """Every run's division of the utterances: by their split, or by fold."""
    found = []
    for index in range(settings.runs):
        seed = settings.seed + index
        if settings.folds is None:
            splits = np.array(utterances.splits, dtype=object)
            if not any(utterances.splits):
                everyone = np.ones(len(splits), dtype=bool)
                found.append(_Division(index, seed, None, everyone, ~everyone, ~everyone))
                continue
            parts = [splits == name for name in ("train", "development", "test")]
            found.append(_Division(index, seed, None, *parts))
            continue
        folds = np.array([int(fold) if fold else -1 for fold in utterances.folds])
        count = settings.folds
        if set(np.unique(folds)) != set(range(count)):
            raise DataError(
                f"{settings.media[0]}: the labelled utterances are not in folds 0 to {count - 1}; "
                f"make them with `avaffect split --folds {count}` and give them as --annotations"
            )
        for fold in range(count):
            test, development = folds == fold, folds == (fold + 1) % count
            found.append(_Division(index, seed, fold, ~test & ~development, development, test))
    return found


def _pooled(
    settings: FinetuneSettings,
    encoder: Encoder,
    dataset: Dataset,
    fabric: Fabric,
    progress: Progress,
) -> np.ndarray:
    extractor = extraction.wrap_encoder(encoder, None, {}, tuple(dataset.columns))
    progress.start("features", len(dataset))
    pooled = extraction.pooled_means(
        extractor, dataset, fabric.device, progress, settings.batch_seconds
    )
    progress.finish()
    return pooled


def _check(settings: FinetuneSettings, division: _Division, material: _Material) -> None:
    """Refuses one class, an empty part, and test speakers whose labels were seen."""
    utterances = material.utterances
    train_part = utterances.chosen(division.train)
    where = str(settings.media[0])
    if not train_part.ids:
        raise DataError(f"{where}: no labelled utterance to train on")
    train_part.check_classes(where)
    tested = set(utterances.chosen(division.test).speakers) - {""}
    seen = set(train_part.speakers) | set(utterances.chosen(division.development).speakers)
    if tested & seen:
        raise DataError(
            f"{where}: the test speaker {min(tested & seen)} is also in train or development; "
            "split by speaker with `avaffect split --by speaker`"
        )
    before = tested & set(material.header.get("labelled_speakers", []))
    if before and settings.mode != "scratch":
        raise DataError(
            f"{settings.encoder} has seen labels of the test speaker {min(before)}: a score on "
            f"such speakers says nothing ({len(before)} of {len(tested)}); adapt and train the "
            "projector on the training split, or test on other speakers"
        )


def _run(
    settings: FinetuneSettings,
    division: _Division,
    material: _Material,
    run: Run,
    path: Path,
    fabric: Fabric,
    progress: Progress,
) -> None:
    """Train one run and keep its weights in the state folder."""
    torch.manual_seed(seeds.derive(division.seed, "initialise"))
    encoder = None if settings.mode == "frozen" else _encoder(settings)
    head = Head(HeadConfiguration(_dim(material, encoder), len(material.utterances.classes)))
    objective = Classification(
        head,
        settings.label,
        encoder=encoder,
        learning_rates={"encoder": settings.learning_rate, "heads": settings.head_learning_rate},
    )
    batches, standardisation = _batches(settings, division, material)
    has_development = bool(division.development.any()) and settings.select != "none"
    folder = run.folder / path.stem
    folder.mkdir(exist_ok=True)

    def evaluate(trained: Classification) -> dict[str, float]:
        return _score(trained, material, division.development, standardisation, settings, fabric)

    outcome = train(
        objective,
        batches,
        settings,
        replace(
            run,
            seed=division.seed,
            folder=folder,
            evaluate=evaluate if has_development else None,
            select=settings.select if has_development else None,
        ),
        fabric,
        progress,
    )
    if standardisation is not None:
        _fold_into(head, standardisation)
    weights = {f"head.{name}": tensor for name, tensor in head.state_dict().items()}
    if encoder is not None:
        weights |= {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    metrics = {"development": outcome.best, "first": outcome.first, "last": outcome.last}
    if fabric.global_rank == 0:
        checkpoint.save(path, "run", weights, model=registry.describe(head), metrics=metrics)
    fabric.barrier()


def _encoder(settings: FinetuneSettings) -> Encoder:
    encoder, header = encoders.load_encoder(settings.encoder, torch.device("cpu"))
    return registry.build(header["model"]) if settings.mode == "scratch" else encoder


def _dim(material: _Material, encoder: Encoder | None) -> int:
    return material.pooled.shape[1] if encoder is None else encoder.dim


def _batches(
    settings: FinetuneSettings, division: _Division, material: _Material
) -> tuple[Batches, Standardisation | None]:
    """Training batches; with a frozen encoder vectors, standardised by the training part."""
    rows = np.flatnonzero(division.train)
    if material.pooled is None:
        dataset = material.dataset.subset(rows)
        dataset.crop_s, dataset.seed = settings.crop_seconds, division.seed
        return (
            Bucketed(dataset, settings.batch_seconds, settings.batch_utterances, division.seed),
            None,
        )
    standardisation = Standardisation(material.pooled.shape[1])
    standardisation.fit(torch.from_numpy(material.pooled[rows]))
    vectors = standardisation(torch.from_numpy(material.pooled[rows])).numpy()
    labels = {settings.label: material.utterances.targets[rows]}
    return Vectors(
        POOLED, vectors, labels, settings.batch_utterances, division.seed
    ), standardisation


def _fold_into(head: Head, standardisation: Standardisation) -> None:
    """Make a linear head that was trained on standardised features take the features themselves.

    W (x - mean) / std + b = (W / std) x + (b - W mean / std), exactly.
    """
    dense = next(layer for layer in head.layers if isinstance(layer, nn.Linear))
    with torch.no_grad():
        mean = standardisation.mean.to(dense.weight.device)
        dense.weight /= standardisation.std.to(dense.weight.device)
        dense.bias -= dense.weight @ mean


def _score(
    objective: Classification,
    material: _Material,
    mask: np.ndarray,
    standardisation: Standardisation | None,
    settings: FinetuneSettings,
    fabric: Fabric,
) -> dict[str, float]:
    """Accuracy and UA on the utterances of a mask."""
    rows = np.flatnonzero(mask)
    if standardisation is not None:
        vectors = standardisation(torch.from_numpy(material.pooled[rows])).to(fabric.device)
        logits = objective.head(vectors).cpu().numpy()
    else:
        logits = classifiers.encoder_logits(
            objective.encoder, objective.head, material.dataset.subset(rows), fabric.device,
            settings.batch_seconds,
        )  # fmt: skip
    return classifiers.scores(
        material.utterances.targets[rows], logits, material.utterances.classes
    )


def _save(
    settings: FinetuneSettings,
    divisions: list[_Division],
    finished: list[Path],
    material: _Material,
    made: dict,
    progress: Progress,
) -> None:
    weights, runs = {}, []
    for number, (division, path) in enumerate(zip(divisions, finished)):
        header, tensors = checkpoint.load(path)
        weights |= {f"runs.{number}.{name}": tensor for name, tensor in tensors.items()}
        runs.append({**division.describe(), "metrics": header["metrics"]})
    trained = np.any([division.train | division.development for division in divisions], axis=0)
    speakers = material.utterances.chosen(trained).speakers
    checkpoint.save(
        settings.output,
        "classifier",
        weights,
        model=header["model"],
        encoder=material.header["model"],
        mode=settings.mode,
        labels={settings.label: list(material.utterances.classes)},
        classes=settings.classes,
        preprocessing={
            **material.header["preprocessing"],
            "streams": list(material.dataset.columns),
        },
        runs=runs,
        provenance=made,
        labelled_speakers=sorted({*material.header.get("labelled_speakers", []), *speakers} - {""}),
    )
    training.discard_state(settings.output)
    values = [run["metrics"]["development"].get(settings.select) for run in runs]
    known = [value for value in values if value is not None]
    word = ""
    if known:
        mean, std = mean_and_std(known)
        spread = f" +- {std:.3f}" if len(known) > 1 else ""
        word = f", development {settings.select} {mean:.3f}{spread}"
    of_folds = f" of {settings.folds} folds" if settings.folds else ""
    plural = "s" if settings.runs > 1 else ""
    progress.say(f"{settings.output}: {settings.runs} run{plural}{of_folds}{word}")
