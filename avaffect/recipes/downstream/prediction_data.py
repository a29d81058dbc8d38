"""Data of `predict`: utterances, their labels, and whether they were used in training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from avaffect.core.errors import DataError, UsageError
from avaffect.core.headers import ClassifierHeader
from avaffect.core.launch import part_of
from avaffect.core.nouns import count_of, share_of
from avaffect.core.progress import Progress
from avaffect.core.sampling import EVERYTHING
from avaffect.data.dataset import Dataset, held_streams
from avaffect.data.labels import Annotations
from avaffect.data.store.reader import Store
from avaffect.models import registry
from avaffect.models.given import Given, GivenVectors
from avaffect.models.inputs import ENCODER, Inputs
from avaffect.models.outline import Outlines
from avaffect.recipes.common import source_recordings
from avaffect.recipes.common.stores import chosen_ids, concatenate, in_split
from avaffect.recipes.downstream import training_speakers
from avaffect.recipes.downstream.face_presence import FacePresence, presence_of
from avaffect.recipes.downstream.labelled_data import vote_shares
from avaffect.recipes.downstream.predicted_labels import PredictedLabel, input_models, modalities
from avaffect.recipes.downstream.sources import (
    Sources,
    check_features,
    other_features,
    vectors_in,
)
from avaffect.recipes.downstream.training_speakers import Seen
from avaffect.recipes.encoding.given import fits, has
from avaffect.recipes.encoding.input_streams import (
    STREAMS,
    check_faces,
    leave_out_words,
    usable_rows,
)
from avaffect.recipes.encoding.spoken import RECORDING
from avaffect.settings.class_map import ClassMap
from avaffect.settings.predict import PredictSettings
from avaffect.settings.scores import training_words

# Of times in seconds.
DECIMALS = 6


class Part(NamedTuple):
    """A part of a recording, in seconds."""

    recording: str
    start: float
    end: float


@dataclass(frozen=True)
class Places:
    """recordings: name of the recording of each of N frames, "" of an utterance that is none; times
    (N, 2): start and end in it, in seconds."""

    recordings: list[str]
    times: np.ndarray

    def part(self, index: int) -> Part | None:
        name = self.recordings[index]
        return Part(name, *self.times[index].tolist()) if name else None


@dataclass(frozen=True)
class PredictedUtterances:
    """N utterances. places: of frames (`extract --frames-of`, `--frames-at`); gold: label of
    utterances -> gold values: a class, shares of votes or a number, None where unknown; selected:
    the number of utterances to predict, with those without a frame, which are left out."""

    dataset: Dataset
    splits: list[str]
    folds: list[str]
    speakers: list[str]
    media: list[str | None]
    places: Places
    gold: Mapping[str, list[Any]]
    folder: Path | None
    selected: int
    faces: FacePresence | None
    seen: Seen

    def status(self, number: int, index: int) -> str | None:
        """Whether run `number` was trained on an utterance or its speaker: a status, or None."""
        return self.seen.status(number, self.dataset.ids[index], self.speakers[index])

    def report(
        self,
        predictions: int,
        statuses: Iterable[str | None],
        progress: Progress,
        more: str = "",
    ) -> None:
        count = int(self.dataset.is_chosen.sum())
        on = training_words(training_speakers.counted(statuses), count)
        more += f"; on {on}" if on else ""
        progress.say(
            f"{count_of(predictions, 'prediction')} of "
            f"{share_of(count, self.selected, 'utterance')}{more}"
        )


def utterances_of(
    settings: PredictSettings,
    stores: list[Store],
    features: Mapping[str, Store],
    header: ClassifierHeader,
    labels: Sequence[PredictedLabel],
    progress: Progress,
) -> PredictedUtterances:
    """The utterances of the split, and their gold labels where they are known.

    Raises DataError where there are none, none gives a frame, or the features of the stores are not
    those that the classifier was trained on; UsageError for several views of a whole.
    """
    annotations = Annotations.read(settings.annotations, stores)
    masks = in_split(stores, settings.split or "all", annotations, given=True)
    ids = chosen_ids(stores, masks)
    inputs = _inputs(header)
    _check_features(settings, stores, features, header, inputs)
    _check_views(settings, inputs)
    sources = _sources(settings, stores, features, header, inputs)
    if ids:
        sources.check_ids(ids, progress)
    shown = usable_rows(inputs, sources.dataset(ids))
    streams = tuple(sources.dataset([]).columns)
    if ids and not shown.any():
        raise DataError(
            f"{stores[0].path}: no utterance has a {sources.unit} of {' or '.join(streams)}"
        )
    if not shown.all():
        progress.warn(leave_out_words(shown, ids, streams, sources.unit))
    rows = np.flatnonzero(shown).tolist()

    def those(column: list[Any]) -> list[Any]:
        return [column[row] for row in rows]

    def field(name: str) -> list[str]:
        return those(concatenate([annotations.field(store, name) for store in stores], masks))

    classes = ClassMap.parse(header.classes)
    gold = {
        label.name: those(
            concatenate([_gold(s, label, classes, annotations) for s in stores], masks)
        )
        for label in labels
        if not label.over_time
    }
    folder, media = source_recordings.paths_of(stores)
    dataset = sources.dataset(those(ids))
    selected = _choose(settings.shard, dataset, len(shown))
    over_time = any(label.over_time for label in labels)
    faces = presence_of(stores, dataset) if over_time else None
    if settings.mask_absent and faces is None:
        raise DataError(
            f"--mask-absent: {settings.model} reads {' and '.join(streams)} here, without a record "
            "of absent faces: predict from stores that `avaffect preprocess` made of videos"
        )
    return PredictedUtterances(
        dataset, field("split"), field("fold"), field("speaker"),
        those(concatenate(media, masks)),
        _places(stores, masks, rows),
        gold, folder, selected, faces, Seen.of(header),
    )  # fmt: skip


def _choose(shard: str | None, dataset: Dataset, selected: int) -> int:
    """Apply models to the utterances of a shard alone; returns how many are to be predicted, of
    `selected` without one."""
    if shard is None:
        return selected
    part = part_of(shard, range(len(dataset)))
    dataset.choose(part)
    return len(part)


def _places(stores: Sequence[Store], masks: Sequence[np.ndarray], rows: Sequence[int]) -> Places:
    """Of frames, see `recipes.encoding.frames_of`: of those in `rows` of all that are in masks."""
    names: list[list[str]] = []
    times = []
    for store in stores:
        meta = store.meta
        of_frames = all(name in meta for name in (RECORDING, "start_s", "duration_s"))
        names.append(meta[RECORDING] if of_frames else [""] * store.count)
        found = np.zeros((store.count, 2))
        if of_frames:
            found[:, 0] = meta["start_s"]
            found[:, 1] = meta["start_s"] + meta["duration_s"]
        times.append(np.round(found, DECIMALS))
    chosen = concatenate(names, masks)
    whole = np.concatenate([found[mask] for found, mask in zip(times, masks)])
    return Places([chosen[row] for row in rows], whole[rows])


def _inputs(header: ClassifierHeader) -> Inputs:
    """The inputs without their weights, which are not needed here."""
    with Outlines():
        built = {n: registry.build(model) for n, model in input_models(header).items()}
        return Inputs(built, either=bool(modalities(header)))


def _sources(
    settings: PredictSettings,
    stores: list[Store],
    features: Mapping[str, Store],
    header: ClassifierHeader,
    inputs: Inputs,
) -> Sources:
    """The stores of the inputs, or of that of the modality alone."""
    streams = header.streams
    if settings.modality is not None and not modalities(header):
        streams = tuple(name for name in streams if name in STREAMS[settings.modality])
    elif settings.modality is not None:
        wanted = modalities(header)[settings.modality]
        features = {name: store for name, store in features.items() if name == wanted}
        streams = streams if wanted == ENCODER else ()
        if not features and not streams:
            raise UsageError(f"--modality {settings.modality} needs --features {wanted}=STORE.h5")
    if streams and not set(streams) <= vectors_in(inputs).keys():
        # One of two streams may be missing altogether.
        there = any(name in store.streams for store in stores for name in streams)
        streams = held_streams(stores, streams) if there or not (inputs.either and features) else ()
    for name, encoder in inputs.encoders.items():
        if name not in features:
            check_faces(encoder, stores, streams)
    return Sources.of(stores, streams, features, inputs, settings.without_features)


def _check_views(settings: PredictSettings, inputs: Inputs) -> None:
    """Raises UsageError for several views of what is read as a whole."""
    if settings.views > 1 and inputs.sampling == EVERYTHING:
        raise UsageError(
            f"--views {settings.views}: {settings.model} reads all of an utterance; leave it out"
        )


def _check_features(
    settings: PredictSettings,
    stores: list[Store],
    features: Mapping[str, Store],
    header: ClassifierHeader,
    inputs: Inputs,
) -> None:
    """Features of another model have the same shape, and other meanings."""
    check_features(
        settings.model, header.features or {}, features, inputs, inputs.either,
        settings.without_features,
    )  # fmt: skip
    known = header.preprocessing.features
    if known is None or features:
        return
    (encoder,) = inputs.encoders.values()
    assert isinstance(encoder, Given)
    for store in stores:
        if has(store, encoder) and not fits(store, encoder, known):
            raise other_features(store.path, settings.model)
    if isinstance(encoder, GivenVectors) and not any(has(store, encoder) for store in stores):
        raise DataError(
            f"{stores[0].path} has no vectors {encoder.configuration.name!r}, which "
            f"{settings.model} reads; make them as those that it was trained on"
        )


def _gold(
    store: Store,
    label: PredictedLabel,
    classes: ClassMap,
    annotations: Annotations,
) -> list[Any]:
    """The gold label of each utterance, in the classifier's classes; None where it is unknown."""
    labelled = any(label.name in item.get("labels", {}) for item in annotations.items.values())
    if label.name not in store.labels and not labelled:
        return [None] * store.count
    if label.kind == "class":
        true = [classes.class_of(name) for name in annotations.names(store, label.name)]
        # A class that the classifier does not have is no error of its own.
        return [name if name in label.classes else None for name in true]
    if label.kind == "scalar":
        values = annotations.scalars(store, label.name).tolist()
        return [None if np.isnan(value) else value for value in values]
    names, shares = vote_shares([store], label.name, classes, annotations)
    if set(names) != set(label.classes):
        raise DataError(
            f"{store.path}: votes of {label.name!r} are for other classes than the classifier's "
            f"({', '.join(label.classes)})"
        )
    shares = shares[:, [names.index(name) for name in label.classes]]
    return [None if np.isnan(row).any() else row for row in shares]
