"""`cluster`: mini-batch k-means of MFCC or of a model's layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from avaffect.core import headers, seeds
from avaffect.core.errors import DataError, UsageError
from avaffect.core.headers import Clustered, EncoderHeader, QuantiserHeader
from avaffect.core.near import meant
from avaffect.core.nouns import count_of
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import Provenance
from avaffect.data.dataset import Dataset, dataset_of, unique_ids
from avaffect.data.store.reader import Store
from avaffect.recipes.common import training_run, work
from avaffect.recipes.common.stores import chosen_ids, in_split, open_stores
from avaffect.recipes.encoding import choices
from avaffect.recipes.encoding.front_ends import FRONT_ENDS
from avaffect.settings.cluster import ClusterSettings

if TYPE_CHECKING:
    import torch

    from avaffect.recipes.encoding.extraction import Extractor
    from avaffect.training.run import Run


def cluster(settings: ClusterSettings, progress: Progress = SILENT) -> None:
    """Fit a quantiser and write it.

    Raises DataError where there are fewer frames than clusters.
    """
    if settings.model is None and settings.layer is not None:
        raise UsageError("--layer goes with --model")
    if settings.model is not None and settings.features is not None:
        raise UsageError("--features and --model exclude each other")
    if settings.model is None and settings.features is None:
        settings = replace(settings, features="mfcc")
    if settings.features is not None and settings.features not in FRONT_ENDS:
        raise UsageError(
            f"--features {settings.features}: front-ends are {', '.join(FRONT_ENDS)}"
            f"{meant(settings.features, FRONT_ENDS)}"
        )
    stores = open_stores(settings.media)
    unique_ids(stores)
    made = work.record(
        "cluster",
        settings,
        work.store_inputs("media", stores),
        work.file_inputs("model", [settings.model], "encoder"),
    )
    choices.check(settings.model, settings.layer)
    if training_run.is_done(
        settings, made, progress, f"fit {count_of(settings.clusters, 'cluster')}"
    ):
        return
    ids = chosen_ids(stores, in_split(stores, settings.split))
    with training_run.running(settings, made, None, progress, settings.seed) as run:
        if run is not None:
            _cluster(settings, stores, ids, made, run, progress)


def _cluster(
    settings: ClusterSettings, stores: Sequence[Store], ids: Sequence[str], made: Provenance,
    run: Run, progress: Progress,
) -> None:  # fmt: skip
    import torch

    from avaffect.models import registry
    from avaffect.models.quantiser import Quantiser, QuantiserConfiguration
    from avaffect.recipes.encoding import extraction
    from avaffect.training import checkpoint
    from avaffect.training.device import resolve_device

    device = resolve_device(settings.device)
    if settings.model is None:
        assert settings.features is not None
        extractor = extraction.front_end_extractor(settings.features)
        if not extractor.over_time:
            raise UsageError(
                f"--features {settings.features}: it gives one vector for each utterance, and "
                "frames are clustered"
            )
        source = Clustered(front_end=settings.features, rate_hz=extractor.rate_hz)
    else:
        extractor = extraction.encoder_extractor(
            settings.model, settings.layer, device, stores, progress, frames_for="cluster"
        )
        source = Clustered(layer=settings.layer, rate_hz=extractor.rate_hz)
    dataset = dataset_of(stores, ids, extractor.streams, sampling=extractor.sampling)
    frames = _sample(extractor, dataset, settings, device, run, progress)
    if len(frames) < settings.clusters:
        raise DataError(
            f"{settings.media[0]}: {count_of(len(frames), 'frame is', 'frames are')} too few for "
            f"{count_of(settings.clusters, 'cluster')}; give more recordings or a smaller -k"
        )
    centroids, metrics = _fit(frames, settings, run, progress)
    quantiser = Quantiser(QuantiserConfiguration(settings.clusters, extractor.dim))
    quantiser.centroids.copy_(torch.from_numpy(centroids))
    run.check()
    header = QuantiserHeader(
        model=registry.describe(quantiser),
        preprocessing=source,
        provenance=made,
        labelled_speakers=_labelled_speakers(settings),
        metrics=metrics,
    )
    checkpoint.write(settings.output, header, quantiser.state_dict())
    progress.say(
        f"{settings.output}: {count_of(settings.clusters, 'cluster')} of "
        f"{count_of(metrics['frames'], 'frame')}, perplexity {metrics['perplexity']:.1f}"
    )


def _labelled_speakers(settings: ClusterSettings) -> tuple[str, ...]:
    """The labelled speakers of the clustered model, on which its clusters depend."""
    if settings.model is None:
        return ()
    return headers.read(settings.model, EncoderHeader).labelled_speakers


def _sample(
    extractor: Extractor, dataset: Dataset, settings: ClusterSettings, device: torch.device,
    run: Run, progress: Progress,
) -> np.ndarray:  # fmt: skip
    """(frames, dim) of utterances in random order, up to the limit."""
    from avaffect.recipes.encoding import extraction

    durations = dataset.durations()
    order = seeds.generator(settings.seed, "cluster").permutation(len(dataset))
    expected = np.cumsum(durations[order]) * extractor.rate_hz
    chosen = order[: int(np.searchsorted(expected, settings.frames)) + 1]
    part = dataset.subset(np.sort(chosen))
    kept = run.spool("features", progress.warn)
    with progress.task("features", len(part)):
        found = [
            values
            for _, values in extraction.compute(
                extractor, part, device, progress, batch_seconds=settings.batch_seconds, kept=kept
            )
        ]
    if not found:
        return np.zeros((0, extractor.dim), dtype=np.float32)
    return np.concatenate(found)[: settings.frames].astype(np.float32)


def _fit(
    frames: np.ndarray, settings: ClusterSettings, run: Run, progress: Progress
) -> tuple[np.ndarray, dict[str, float]]:
    """(clusters, dim) centroids, and how good they are."""
    from avaffect.recipes.encoding import kmeans

    names = ("initialisations", "mini-batches", "assignments")
    starts, steps, blocks = (run.spool(name, progress.warn) for name in names)
    # The run of a command has a folder.
    assert starts is not None and steps is not None and blocks is not None
    found = kmeans.fit(
        frames, settings.clusters, settings.initialisations, settings.seed, starts, steps, blocks,
        progress,
    )  # fmt: skip
    used = found.counts[found.counts > 0] / found.counts.sum()
    perplexity = float(np.exp(-(used * np.log(used)).sum()))
    if len(used) < settings.clusters:
        progress.warn(
            f"{settings.clusters - len(used)} of "
            f"{count_of(settings.clusters, 'cluster is', 'clusters are')} empty; a smaller -k fits "
            "these recordings"
        )
    metrics = {
        "frames": len(frames),
        "distortion": found.inertia / len(frames),
        "perplexity": perplexity,
    }
    return found.centroids, metrics
