"""Training of `train-projector`, started only if there is work to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from avaffect.core import seeds
from avaffect.core.headers import EncoderHeader, Normalisation, Projected, ProjectorHeader
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance
from avaffect.data.batches import Bucketed, Vectors
from avaffect.data.dataset import Dataset, dataset_of
from avaffect.data.store.reader import Store
from avaffect.models import registry
from avaffect.models.encoder import Encoder
from avaffect.models.heads.projector import Projector, ProjectorConfiguration
from avaffect.objectives.losses.metric import MetricLoss, metric_loss
from avaffect.objectives.pooling import POOLED
from avaffect.objectives.projector import ProjectorTraining
from avaffect.recipes.common import training_run
from avaffect.recipes.downstream.labelled_data import LabelledUtterances
from avaffect.recipes.encoding import checkpoints, extraction
from avaffect.recipes.encoding.extracting import standardise_by
from avaffect.recipes.encoding.input_streams import chosen_streams, usable_rows, usable_utterances
from avaffect.recipes.pretraining.projector_scores import of_held_out, of_training
from avaffect.settings.train_projector import UNTRAINED, TrainProjectorSettings
from avaffect.training import checkpoint
from avaffect.training.device import make_fabric
from avaffect.training.loop import check_coupled, train
from avaffect.training.run import Batches, Run


def run(
    settings: TrainProjectorSettings, stores: list[Store], utterances: LabelledUtterances,
    held_out: LabelledUtterances | None, made: Provenance, progress: Progress,
) -> None:  # fmt: skip
    """Train a projector on labelled utterances, score it on those held out, and write it.

    Raises DataError where the encoder gives no frame for any of them, or all are of one class.
    """
    fabric = make_fabric(settings.device, settings.precision)
    encoder, header = checkpoints.load_encoder(settings.encoder, fabric.device)
    streams = chosen_streams(encoder, settings.modality, stores, progress)
    utterances = usable_utterances(encoder, stores, utterances, streams, progress)
    utterances.check_classes(str(settings.media[0]))
    torch.manual_seed(seeds.derive(settings.seed, "initialise"))
    projector = Projector(_configuration(settings, encoder.dim, len(utterances.classes)))
    labels = {settings.label: utterances.targets}
    dataset = dataset_of(
        stores, utterances.ids, streams, labels=labels, seed=settings.seed,
        sampling=encoder.sampling,
    )  # fmt: skip
    with training_run.running(settings, made, fabric, progress, settings.seed) as opened:
        if opened is None:
            return
        own = Material(stores, dataset, encoder, opened, fabric.global_rank == 0)
        features = None if settings.train_encoder else own.features(settings, progress)
        batches, pooled = _batches(settings, own, features, projector)
        metrics = {}
        if settings.loss != UNTRAINED:
            objective = _objective(settings, projector, encoder, len(utterances.classes))
            check_coupled(objective, settings, fabric)
            outcome = train(objective, batches, settings, opened, fabric, progress)
            metrics = {"first": outcome.first, "last": outcome.last}
        if pooled is not None:
            metrics["embeddings"] = of_training(projector, pooled, utterances.targets)
        if held_out is not None:
            training = None if pooled is None else (pooled, utterances.targets)
            found = _held_out(settings, own, held_out, features, projector, training, progress)
            metrics |= {"development": found} if found else {}
        if fabric.global_rank == 0:
            opened.check()
            _save(settings, projector, encoder, utterances, metrics, header, made)
            progress.say(_summary(settings, utterances, metrics))


def _objective(
    settings: TrainProjectorSettings, projector: Projector, encoder: Encoder, classes: int
) -> ProjectorTraining:
    return ProjectorTraining(
        projector,
        settings.label,
        encoder=encoder if settings.train_encoder else None,
        metric_loss=_metric_loss(settings, classes, projector.configuration.embedding),
        weights=_weights(settings),
        learning_rates={"encoder": settings.encoder_learning_rate},
    )


def _save(
    settings: TrainProjectorSettings,
    projector: Projector,
    encoder: Encoder,
    utterances: LabelledUtterances,
    metrics: dict[str, dict[str, float]],
    header: EncoderHeader,
    made: Provenance,
) -> None:
    """A trained encoder is stored in the same file; a frozen one is named by reference."""
    # The settings leave it to the command.
    assert settings.statistics is not None
    trained = {f"projector.{name}": t for name, t in projector.state_dict().items()}
    if settings.train_encoder:
        trained |= {f"encoder.{name}": t for name, t in encoder.state_dict().items()}
    whole = ProjectorHeader(
        model=registry.describe(projector),
        encoder=registry.describe(encoder) if settings.train_encoder else None,
        labels={settings.label: tuple(utterances.classes)},
        preprocessing=Projected(layer=settings.layer, modality=settings.modality),
        normalisation=Normalisation(statistics=settings.statistics),
        provenance=made,
        metrics=metrics,
        labelled_speakers=tuple(sorted({*header.labelled_speakers, *utterances.speakers} - {""})),
    )
    checkpoint.write(settings.output, whole, trained)


def _summary(
    settings: TrainProjectorSettings,
    utterances: LabelledUtterances,
    metrics: dict[str, dict[str, float]],
) -> str:
    words = [_words(metrics[name]) for name in ("embeddings",) if name in metrics]
    if "accuracy" in metrics.get("last", {}):
        words.insert(0, f"training accuracy {metrics['last']['accuracy']:.3f}")
    apart = dict(metrics.get("development", {}))
    count = int(apart.pop("utterances", 0))
    return (
        f"{settings.output}: {count_of(len(utterances.ids), 'utterance')}, "
        f"{count_of(len(utterances.classes), 'class')}"
        + "".join(f"{', ' if not place else '; '}{word}" for place, word in enumerate(words))
        + (f"; on {count_of(count, 'utterance')} of development: {_words(apart)}" if count else "")
    )


def _words(scores: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in scores.items())


def _configuration(
    settings: TrainProjectorSettings, dim: int, classes: int
) -> ProjectorConfiguration:
    if settings.loss == UNTRAINED:
        return ProjectorConfiguration(dim, classes, hidden=0, embedding=dim)
    return ProjectorConfiguration(dim, classes)


def _metric_loss(settings: TrainProjectorSettings, classes: int, dim: int) -> MetricLoss | None:
    if settings.loss == "cross-entropy":
        return None
    constants = settings.alpha, settings.beta, settings.base, settings.epsilon
    return metric_loss(settings.loss, classes, dim, *constants)


def _weights(settings: TrainProjectorSettings) -> dict[str, float]:
    if settings.loss == UNTRAINED:
        return {"metric": 0.0, "classification": 0.0}
    if settings.loss == "cross-entropy":
        return {"metric": 0.0, "classification": 1.0}
    return {"metric": 1.0, "classification": settings.cross_entropy}


@dataclass(frozen=True)
class Material:
    """Labelled utterances and the encoder that reads them; kept: whether this rank keeps features
    with the state of the run."""

    stores: list[Store]
    dataset: Dataset
    encoder: Encoder
    run: Run
    keeps: bool

    def features(
        self, settings: TrainProjectorSettings, progress: Progress, name: str = "features"
    ) -> np.ndarray:
        """(N, D) means of the encoder's frames; name: of the file that they are kept in."""
        encoder, dataset = self.encoder.eval(), self.dataset
        extractor = extraction.wrap_encoder(encoder, settings.layer, {}, tuple(dataset.columns))
        device = next(encoder.parameters()).device
        kept = self.run.spool(name, progress.warn, self.keeps)
        with progress.task("features", len(dataset)):
            return extraction.pooled_means(
                extractor, dataset, device, progress, settings.batch_seconds, kept=kept
            )


def _batches(
    settings: TrainProjectorSettings, own: Material, features: np.ndarray | None,
    projector: Projector,
) -> tuple[Batches, np.ndarray | None]:  # fmt: skip
    """Batches, and with a frozen encoder the rows in them, made of its features."""
    dataset = own.dataset
    if features is None:
        dataset.crop_s = settings.crop_seconds
        limits = settings.batch_seconds, settings.batch_utterances, settings.seed
        return Bucketed(dataset, *limits), None
    pooled = features
    if settings.statistics == "source":
        standardise_by(projector, pooled, np.ones(len(pooled), dtype=bool))
    elif settings.statistics == "corpus":
        pooled = _standardised_by_corpus(own.stores, pooled, dataset.ids, pooled, dataset.ids)
    return Vectors(POOLED, pooled, dataset.labels, settings.batch_utterances, settings.seed), pooled


def _standardised_by_corpus(
    stores: Sequence[Store], rows: np.ndarray, ids: Sequence[str], training: np.ndarray,
    training_ids: Sequence[str],
) -> np.ndarray:  # fmt: skip
    """Rows in units of the mean and deviation of the training rows of their store; of its own rows
    where it has none.

    `extract` does the same with the store's training part, unlabelled utterances included.
    """

    def stores_of(names: Sequence[str]) -> np.ndarray:
        return np.array([next(n for n, s in enumerate(stores) if i in s.rows) for i in names])

    found, store_of, training_of = rows.copy(), stores_of(ids), stores_of(training_ids)
    for number in np.unique(store_of):
        chosen = store_of == number
        by = training[training_of == number]
        by = by if len(by) else rows[chosen]
        deviation = by.std(axis=0)
        found[chosen] = (rows[chosen] - by.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    return found


def _held_out(
    settings: TrainProjectorSettings, own: Material, held_out: LabelledUtterances,
    features: np.ndarray | None, projector: Projector,
    training: tuple[np.ndarray, np.ndarray] | None, progress: Progress,
) -> dict[str, float] | None:  # fmt: skip
    """Scores of the utterances held out; None where the encoder can read none. features: those of
    training, as they came; training: as the projector reads them, and their targets."""
    streams = tuple(own.dataset.columns)
    there = usable_rows(own.encoder, dataset_of(own.stores, held_out.ids, streams))
    held_out = held_out.chosen(there)
    if not held_out.ids:
        return None
    dataset = dataset_of(own.stores, held_out.ids, streams, sampling=own.encoder.sampling)
    rows = replace(own, dataset=dataset).features(settings, progress, "development")
    if settings.statistics == "corpus" and features is not None:
        rows = _standardised_by_corpus(own.stores, rows, held_out.ids, features, own.dataset.ids)
    classifies = _weights(settings)["classification"] > 0
    return of_held_out(projector, rows, held_out.targets, training, classifies)
