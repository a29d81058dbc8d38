"""Applying the model in `extract`, started only if there is work to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avaffect.core.headers import CheckpointHeader, EncoderHeader, ProjectorHeader, QuantiserHeader
from avaffect.core.launch import part_of
from avaffect.core.nouns import count_of, share_of
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance
from avaffect.core.sampling import EVERYTHING, Sampling
from avaffect.core.streams import FEATURES, FUNCTIONALS, MEAN, UNITS
from avaffect.data import artifacts
from avaffect.data.dataset import Dataset, dataset_of
from avaffect.data.embeddings import EMBEDDING
from avaffect.data.labels import Annotations
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import PooledSpec, StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.models.heads.projector import Projector
from avaffect.recipes.common import training_run
from avaffect.recipes.common import work as words
from avaffect.recipes.common.copied_metadata import Carried
from avaffect.recipes.common.training_run import Work
from avaffect.recipes.encoding import extraction, frames_of, segments
from avaffect.recipes.encoding.extraction import Extractor
from avaffect.recipes.encoding.input_streams import chosen_streams, leave_out_words
from avaffect.settings.extract import ExtractSettings
from avaffect.training import checkpoint
from avaffect.training.device import resolve_device


@dataclass
class _Plan:
    """What is written for each utterance: `rows(dataset)` yields its index and arrays, and notes in
    `empty` the ids of those that give no frame, in `not_finite` of those that gave no numbers.

    one_by_one: False where they come when all are computed, which keeps rows of its own."""

    rows: Callable[[Dataset], Iterator[tuple[int, dict[str, Any]]]]
    reads: tuple[str, ...]
    empty: list[str]
    streams: dict[str, StreamSpec] = field(default_factory=dict)
    pooled: dict[str, PooledSpec] = field(default_factory=dict)
    not_finite: list[str] = field(default_factory=list)
    sampling: Sampling = EVERYTHING
    one_by_one: bool = True

    def found_in(self, identifier: str) -> dict[str, bool]:
        """What is to be said of the last utterance, if any."""
        lists = {"empty": self.empty, "not_finite": self.not_finite}
        return {name: True for name, ids in lists.items() if ids[-1:] == [identifier]}

    def take_up(self, identifier: str, facts: dict[str, bool]) -> None:
        """The `found_in` of an earlier process."""
        for name in facts:
            getattr(self, name).append(identifier)


def run(
    settings: ExtractSettings,
    store: Store,
    header: CheckpointHeader | None,
    made: Provenance,
    progress: Progress,
    work: Work,
) -> None:
    """Apply `settings.model` to a store and write the result.

    header: of the checkpoint; None: the model is a front-end. work: keeps what is computed.
    """
    rows = part_of(settings.shard, range(store.count))
    device = resolve_device(settings.device)
    if settings.of_frames:
        extractor = _extractor(settings, store, header, device, progress)
        frames_of.run(settings, store, rows, extractor, device, made, progress, work)
        return
    plan = _plan(settings, store, header, device, progress, work)
    dataset = dataset_of([store], store.ids, plan.reads, sampling=plan.sampling)
    with store_writer(
        settings.output, made, streams=plan.streams, labels=store.labels, pooled=plan.pooled,
        kept=work.store() if plan.one_by_one else None,
    ) as writer:  # fmt: skip
        carried = Carried(store)
        for row, facts in zip(rows, writer.resumed):
            plan.take_up(store.ids[row], facts)
        training_run.say_resumed(len(writer.resumed), progress)
        dataset.choose(rows[len(writer.resumed) :])
        chosen = dataset.is_chosen
        if settings.segment is not None:
            chosen = chosen[segments.in_segments(dataset, settings.segment)[1]]
        progress.start("extract", int(chosen.sum()))
        for index, values in plan.rows(dataset):
            carried.add(writer, index, values)
            writer.done(plan.found_in(store.ids[index]))
    progress.finish()
    _warn(plan, progress)
    of = share_of(len(writer.ids), len(rows), "utterance")
    progress.say(f"{settings.output}: {of}")


def _warn(plan: _Plan, progress: Progress) -> None:
    if plan.empty:
        zeros = "".join(f", and nothing but zeros as their {name}" for name in plan.pooled)
        progress.warn(
            f"{count_of(len(plan.empty), 'utterance has', 'utterances have')} no frame of "
            f"{' or '.join(plan.reads)}{zeros}: {words.some_of(plan.empty)}"
        )
    if plan.not_finite:
        progress.warn(
            "the model gave values that are no numbers (NaN or infinite) for "
            f"{count_of(len(plan.not_finite), 'utterance')}; 0 stands in their place: "
            f"{words.some_of(plan.not_finite)}"
        )


def _extractor(
    settings: ExtractSettings, store: Store, header: CheckpointHeader | None,
    device: torch.device, progress: Progress,
) -> Extractor:  # fmt: skip
    """Of a front-end (header None) or an encoder, with the options of the settings."""
    if header is None:
        return extraction.front_end_extractor(settings.model)
    extractor = extraction.encoder_extractor(
        Path(settings.model), settings.layer, device, [store], progress, settings.modality,
        None if settings.pooled_only or settings.segment else "extract without --pooled-only",
        in_patches=settings.patch is not None,
    )  # fmt: skip
    if settings.patch is None:
        return extractor
    return segments.in_patches(extractor, settings.patch, store)


def _plan(
    settings: ExtractSettings, store: Store, header: CheckpointHeader | None,
    device: torch.device, progress: Progress, work: Work,
) -> _Plan:  # fmt: skip
    if header is None or isinstance(header, EncoderHeader):
        extractor = _extractor(settings, store, header, device, progress)
        named = FUNCTIONALS if header is None and not extractor.over_time else MEAN
        return _features(settings, extractor, named, device, progress)
    path = Path(settings.model)
    if isinstance(header, QuantiserHeader):
        return _units(
            settings,
            extraction.quantiser_extractor(path, device, [store], progress),
            device,
            progress,
        )
    return _embeddings(settings, path, store, device, progress, work)


def _computed(
    settings: ExtractSettings,
    extractor: Extractor,
    dataset: Dataset,
    device: torch.device,
    progress: Progress,
) -> Iterator[tuple[int, np.ndarray]]:
    """Index and values (T, dim) of each utterance, of frames or of segments."""
    options: dict[str, Any] = {
        "batch_seconds": settings.batch_seconds,
        "batch_utterances": settings.batch_utterances,
        "precision": settings.precision,
    }
    if settings.segment is not None:
        return segments.vectors(extractor, dataset, settings.segment, device, progress, **options)
    return extraction.compute(extractor, dataset, device, progress, **options)


def _features(
    settings: ExtractSettings,
    extractor: Extractor,
    pooled: str,
    device: torch.device,
    progress: Progress,
) -> _Plan:
    """pooled: the name of the vectors of utterances."""
    empty: list[str] = []
    not_finite: list[str] = []
    with_frames = extractor.over_time and not settings.pooled_only
    rate_hz, made = extractor.rate_hz, extractor.made
    if settings.segment is not None:
        with_frames, rate_hz = True, 1 / settings.segment
        made = {**made, "segment": settings.segment}
    spec = StreamSpec(FEATURES, "float32", rate_hz, (extractor.dim,), made=made)

    def rows(dataset: Dataset) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, values in _computed(settings, extractor, dataset, device, progress):
            if not len(values):
                empty.append(dataset.ids[index])
            if not np.isfinite(values).all():
                not_finite.append(dataset.ids[index])
                values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
            mean = values.mean(axis=0) if len(values) else np.zeros(extractor.dim)
            found: dict[str, Any] = {"pooled": {pooled: mean}}
            if with_frames:
                found["streams"] = {FEATURES: values}
            yield index, found

    return _Plan(
        rows,
        extractor.streams,
        empty,
        {"features": spec} if with_frames else {},
        {pooled: PooledSpec(extractor.dim, made)},
        not_finite,
        extractor.sampling,
    )


def _units(
    settings: ExtractSettings, extractor: Extractor, device: torch.device, progress: Progress
) -> _Plan:
    empty: list[str] = []
    spec = StreamSpec(UNITS, "int32", extractor.rate_hz, made=extractor.made)

    def rows(dataset: Dataset) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, values in _computed(settings, extractor, dataset, device, progress):
            if not len(values):
                empty.append(dataset.ids[index])
            yield index, {"streams": {UNITS: values[:, 0].astype(np.int32)}}

    return _Plan(rows, extractor.streams, empty, {UNITS: spec}, sampling=extractor.sampling)


def _embeddings(
    settings: ExtractSettings, path: Path, store: Store, device: torch.device, progress: Progress,
    work: Work,
) -> _Plan:  # fmt: skip
    """Embeddings need the whole store's statistics first, where each corpus has its own."""
    projector, extractor, header = load_projector(path, device, store, settings.modality, progress)
    statistics = header.normalisation.statistics
    made = {"model": {"content_id": header.content_id}, "statistics": statistics}
    if settings.modality is not None:
        made["modality"] = settings.modality

    def rows(dataset: Dataset) -> Iterator[tuple[int, dict[str, Any]]]:
        pooled = extraction.pooled_means(
            extractor, dataset, device, progress, settings.batch_seconds, settings.precision,
            kept=work.rows("means", progress),
        )  # fmt: skip
        if statistics == "corpus":
            standardise_by(projector, pooled, _training_part(store))
        with torch.inference_mode():
            embeddings = projector(torch.from_numpy(pooled).to(device)).cpu().numpy()
        # The mean of no frames is exactly zero; its embedding would be a point like any other.
        chosen = dataset.is_chosen
        there = np.asarray(pooled.any(axis=1))
        if not there[chosen].all():
            progress.warn(leave_out_words(there | ~chosen, dataset.ids, extractor.streams))
        for index in np.flatnonzero(there & chosen):
            yield int(index), {"pooled": {EMBEDDING: embeddings[index]}}

    dim = projector.configuration.embedding
    pooled = {EMBEDDING: PooledSpec(dim, made)}
    return _Plan(
        rows, extractor.streams, [], pooled=pooled, sampling=extractor.sampling, one_by_one=False
    )


def _training_part(store: Store) -> np.ndarray:
    """(N,) bool: the split train; none of a store that is all of other splits."""
    splits = Annotations({}).field(store, "split")
    return np.array([split in ("train", "") for split in splits], dtype=bool)


def standardise_by(projector: Projector, pooled: np.ndarray, chosen: np.ndarray) -> None:
    """Give a projector the statistics of the chosen rows of pooled (N, D), of all if none is."""
    rows = pooled[chosen] if chosen.any() else pooled
    if len(rows):
        projector.standardisation.fit(torch.from_numpy(rows))


def load_projector(
    path: Path, device: torch.device, store: Store, modality: str | None, progress: Progress
) -> tuple[Projector, Extractor, ProjectorHeader]:
    """A projector, the frames that it reads, and its header.

    It reads the modality that it was trained with, unless another is given.

    The encoder is in the checkpoint where it was trained with the projector; otherwise it is
    the parent, found by reference.
    """
    header, tensors = checkpoint.read(path, ProjectorHeader)
    projector = checkpoint.build(header.model, tensors, path, "projector.")
    layer = header.preprocessing.layer
    modality = modality or header.preprocessing.modality
    if header.encoder is not None:
        encoder = checkpoint.build(header.encoder, tensors, path, "encoder.")
        streams = chosen_streams(encoder, modality, [store], progress)
        extractor = extraction.wrap_encoder(encoder.to(device).eval(), layer, {}, streams)
    else:
        parent = header.parents("encoder")[0]
        encoder_path = artifacts.locate_parent(parent, path)
        extractor = extraction.encoder_extractor(
            encoder_path, layer, device, [store], progress, modality
        )
    return projector.to(device).eval(), extractor, header
