"""Training of `train-projector`, started only if there is work to do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from avaffect.core import seeds
from avaffect.core.headers import EncoderHeader, Normalisation, Projected, ProjectorHeader
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance
from avaffect.data.batches import Bucketed, Vectors
from avaffect.data.dataset import Dataset, dataset_of
from avaffect.data.store.reader import Store
from avaffect.evaluation.clustering import davies_bouldin_index, nearest_neighbour_accuracy
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
from avaffect.recipes.encoding.input_streams import chosen_streams, usable_utterances
from avaffect.settings.train_projector import TrainProjectorSettings
from avaffect.training import checkpoint
from avaffect.training.device import make_fabric
from avaffect.training.loop import check_coupled, train
from avaffect.training.run import Batches
from avaffect.training.spool import Spool


def run(
    settings: TrainProjectorSettings, stores: list[Store], utterances: LabelledUtterances,
    made: Provenance, progress: Progress,
) -> None:  # fmt: skip
    """Train a projector on labelled utterances and write it.

    Raises DataError where the encoder gives no frame for any of them, or all are of one class.
    """
    fabric = make_fabric(settings.device, settings.precision)
    encoder, header = checkpoints.load_encoder(settings.encoder, fabric.device)
    streams = chosen_streams(encoder, settings.modality, stores, progress)
    utterances = usable_utterances(encoder, stores, utterances, streams, progress)
    utterances.check_classes(str(settings.media[0]))
    torch.manual_seed(seeds.derive(settings.seed, "initialise"))
    projector = Projector(ProjectorConfiguration(encoder.dim, len(utterances.classes)))
    labels = {settings.label: utterances.targets}
    dataset = dataset_of(
        stores, utterances.ids, streams, labels=labels, seed=settings.seed,
        sampling=encoder.sampling,
    )  # fmt: skip
    with training_run.running(settings, made, fabric, progress, settings.seed) as opened:
        if opened is None:
            return
        kept = opened.spool("features", progress.warn, fabric.global_rank == 0)
        batches, pooled = _batches(settings, stores, dataset, encoder, projector, kept, progress)
        objective = _objective(settings, projector, encoder)
        check_coupled(objective, settings, fabric)
        outcome = train(objective, batches, settings, opened, fabric, progress)
        metrics = {"first": outcome.first, "last": outcome.last}
        if pooled is not None:
            metrics["embeddings"] = _quality(projector, pooled, utterances)
        if fabric.global_rank == 0:
            opened.check()
            _save(settings, objective, encoder, utterances, metrics, header, made)
            progress.say(_summary(settings, utterances, metrics))


def _objective(
    settings: TrainProjectorSettings, projector: Projector, encoder: Encoder
) -> ProjectorTraining:
    return ProjectorTraining(
        projector,
        settings.label,
        encoder=encoder if settings.train_encoder else None,
        metric_loss=_metric_loss(settings),
        weights=_weights(settings),
        learning_rates={"encoder": settings.encoder_learning_rate},
    )


def _save(
    settings: TrainProjectorSettings,
    objective: ProjectorTraining,
    encoder: Encoder,
    utterances: LabelledUtterances,
    metrics: dict[str, dict[str, float]],
    header: EncoderHeader,
    made: Provenance,
) -> None:
    """A trained encoder is stored in the same file; a frozen one is named by reference."""
    projector = objective.projector
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
    quality = metrics.get("embeddings", {})
    words = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in quality.items())
    return (
        f"{settings.output}: {len(utterances.ids)} utterances, {len(utterances.classes)} classes, "
        f"training accuracy {metrics['last'].get('accuracy', 0):.3f}"
        + (f"; {words}" if words else "")
    )


def _metric_loss(settings: TrainProjectorSettings) -> MetricLoss | None:
    if settings.loss == "cross-entropy":
        return None
    return metric_loss(
        settings.loss, settings.alpha, settings.beta, settings.base, settings.epsilon
    )


def _weights(settings: TrainProjectorSettings) -> dict[str, float]:
    if settings.loss == "cross-entropy":
        return {"metric": 0.0, "classification": 1.0}
    return {"metric": 1.0, "classification": settings.cross_entropy}


def _batches(
    settings: TrainProjectorSettings,
    stores: list[Store],
    dataset: Dataset,
    encoder: Encoder,
    projector: Projector,
    kept: Spool | None,
    progress: Progress,
) -> tuple[Batches, np.ndarray | None]:
    """Batches, and with a frozen encoder the pooled features in them."""
    if settings.train_encoder:
        dataset.crop_s = settings.crop_seconds
        return (
            Bucketed(dataset, settings.batch_seconds, settings.batch_utterances, settings.seed),
            None,
        )
    pooled = _pooled(settings, dataset, encoder, kept, progress)
    if settings.statistics == "source":
        standardise_by(projector, pooled, np.ones(len(pooled), dtype=bool))
    elif settings.statistics == "corpus":
        pooled = _standardised_by_corpus(pooled, dataset.ids, stores)
    return Vectors(POOLED, pooled, dataset.labels, settings.batch_utterances, settings.seed), pooled


def _standardised_by_corpus(
    pooled: np.ndarray, ids: Sequence[str], stores: Sequence[Store]
) -> np.ndarray:
    """Rows with mean 0 and deviation 1 within each store.

    `extract` does the same with the store's training part, unlabelled utterances included.
    """
    found = pooled.copy()
    store_of = np.array([next(n for n, s in enumerate(stores) if i in s.rows) for i in ids])
    for number in np.unique(store_of):
        rows = pooled[store_of == number]
        deviation = rows.std(axis=0)
        found[store_of == number] = (rows - rows.mean(axis=0)) / np.where(
            deviation > 0, deviation, 1.0
        )
    return found


def _pooled(
    settings: TrainProjectorSettings, dataset: Dataset, encoder: Encoder, kept: Spool | None,
    progress: Progress,
) -> np.ndarray:  # fmt: skip
    extractor = extraction.wrap_encoder(encoder, settings.layer, {}, tuple(dataset.columns))
    device = next(encoder.parameters()).device
    with progress.task("features", len(dataset)):
        return extraction.pooled_means(
            extractor, dataset, device, progress, settings.batch_seconds, kept=kept
        )


def _quality(
    projector: Projector, pooled: np.ndarray, utterances: LabelledUtterances
) -> dict[str, float]:
    """Separation of the training embeddings: the paper's Davies-Bouldin index, 1-NN accuracy."""
    projector.eval()
    device = next(projector.parameters()).device
    with torch.inference_mode():
        embeddings = projector(torch.from_numpy(pooled).to(device)).cpu().numpy()
    return {
        "davies_bouldin": davies_bouldin_index(embeddings, utterances.targets),
        "nearest_neighbour": nearest_neighbour_accuracy(embeddings, utterances.targets),
    }
