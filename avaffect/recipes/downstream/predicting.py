"""How `predict` applies a classifier, once it is known that there is work to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from avaffect.core.errors import DataError
from avaffect.core.headers import ClassifierHeader, Run
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance
from avaffect.data import manifest
from avaffect.data.dataset import Dataset, dataset_of, held_streams
from avaffect.data.labels import Annotations, class_labels
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec
from avaffect.data.store.writer import store_writer
from avaffect.data.traces import delayed
from avaffect.models import registry
from avaffect.recipes.common import source_recordings
from avaffect.recipes.common.stores import chosen_ids, concatenate, in_split
from avaffect.recipes.downstream import face_presence, heads, training_speakers
from avaffect.recipes.downstream.face_presence import FacePresence, presence_of
from avaffect.recipes.downstream.prediction_passes import Pass, passes_of
from avaffect.recipes.downstream.training_speakers import Seen, worst
from avaffect.recipes.downstream.windows import Windows, windows_of
from avaffect.recipes.encoding.input_streams import check_faces, gives_frames, leave_out_words
from avaffect.settings.predict import PredictSettings
from avaffect.settings.scores import seen_words
from avaffect.training import checkpoint
from avaffect.training.device import resolve_device


@dataclass(frozen=True)
class _Utterances:
    dataset: Dataset
    splits: list[str]
    folds: list[str]
    speakers: list[str]
    gold: list[str | None]
    media: list[str | None]
    folder: Path | None
    asked: int
    faces: FacePresence | None
    seen: Seen

    def status(self, number: int, index: int) -> str | None:
        """What run `number` has seen of an utterance."""
        return self.seen.status(number, self.dataset.ids[index], self.speakers[index])


def run(
    settings: PredictSettings, stores: list[Store], made: Provenance, progress: Progress
) -> None:
    """Write a manifest of predicted classes, or a store of predicted traces.

    Raises DataError where no utterance is in the split, the folds of the classifier are unknown, or
    the stores hold other features than it was trained on.
    """
    header, tensors = checkpoint.read(settings.model, ClassifierHeader)
    windows = _windows(settings, header)
    utterances = _utterances(settings, stores, header, progress)
    device = resolve_device(settings.device)
    passes = passes_of(settings.model, header, tensors, utterances.folds, device)
    if windows is None:
        _write_classes(settings, header, made, utterances, passes, device, progress)
    else:
        _write_traces(settings, header, made, utterances, passes, windows, device, progress)


def _windows(settings: PredictSettings, header: ClassifierHeader) -> Windows | None:
    """Those in which long recordings are predicted; None where there is no trace to predict."""
    if header.traces is None:
        return None
    return windows_of(settings.window or header.traces.window_s, settings.step)


def _utterances(
    settings: PredictSettings, stores: list[Store], header: ClassifierHeader, progress: Progress
) -> _Utterances:
    annotations = Annotations.read(settings.annotations, stores)
    split = settings.split or "all"
    masks = in_split(stores, split, annotations, asked=True)
    ids = chosen_ids(stores, masks)

    def field(name: str) -> list[str]:
        return concatenate([annotations.field(store, name) for store in stores], masks)

    target = next(iter(header.labels or {}), None)
    golds = [_gold(store, target, header.classes, annotations) for store in stores]
    streams = held_streams(stores, header.streams)
    _check_features(settings, stores, header)
    with torch.device("meta"):
        # Its weights are nobody's concern here.
        encoder = registry.build(header.encoder)
    check_faces(encoder, stores, streams)
    shown = gives_frames(encoder, stores, ids, streams)
    if ids and not shown.any():
        raise DataError(f"{stores[0].path}: no utterance has a frame of {' or '.join(streams)}")
    if not shown.all():
        progress.warn(leave_out_words(shown, ids, streams))
    rows = np.flatnonzero(shown).tolist()
    folder, media = source_recordings.paths_of(stores)
    columns = [
        ids, field("split"), field("fold"), field("speaker"), concatenate(golds, masks),
        concatenate(media, masks),
    ]  # fmt: skip
    ids, *others = [[column[row] for row in rows] for column in columns]
    dataset = dataset_of(stores, ids, streams)
    faces = None if header.traces is None else presence_of(stores, dataset)
    if settings.mask_absent and faces is None:
        raise DataError(
            f"--mask-absent: {settings.model} reads {' and '.join(streams)} here, and nobody knows "
            "where a face is absent: predict from stores that `avaffect preprocess` made of films"
        )
    return _Utterances(dataset, *others, folder, len(shown), faces, Seen.of(header))


def _check_features(
    settings: PredictSettings, stores: list[Store], header: ClassifierHeader
) -> None:
    """Features of another model have the same shape, and other meanings."""
    known = header.preprocessing.features
    for store in stores if known is not None else ():
        spec = store.streams.get("features")
        if spec is not None and spec.made != known:
            raise DataError(
                f"{store.path}: its features are not those that {settings.model} was trained on; "
                "extract them with the same model"
            )


def _gold(
    store: Store, target: str | None, classes: str | None, annotations: Annotations
) -> list[str | None]:
    """Each utterance's class as the classifier names it; None where it has none."""
    labelled = any(target in item.get("labels", {}) for item in annotations.items.values())
    if target is None or (target not in store.labels and not labelled):
        return [None] * store.count
    found = class_labels(store, target, classes, annotations)
    return [found.classes[value] if value >= 0 else None for value in found.values]


def _write_classes(
    settings: PredictSettings,
    header: ClassifierHeader,
    made: Provenance,
    utterances: _Utterances,
    passes: Iterator[Pass],
    device: torch.device,
    progress: Progress,
) -> None:
    """A manifest of items, run by run."""
    target, classes = next(iter((header.labels or {}).items()))
    runs = header.runs
    facts = {"target": target, "classes": list(classes), "runs": header.run_count}
    facts["seen"] = True
    if utterances.folder is not None:
        facts["base"] = manifest.base_for(settings.output, utterances.folder)
    statuses = {}
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for part in passes:
        dataset = utterances.dataset.subset(part.rows)
        progress.start("predict", len(dataset))
        scores = heads.utterance_scores(
            part.encoder, part.heads, dataset, device, settings.batch_seconds, progress
        )
        progress.finish()
        for place, number in enumerate(part.numbers):
            found[number] = part.rows, scores[:, place]
    with manifest.writer(
        settings.output, manifest.new_header("predictions", **facts, provenance=made)
    ) as sink:
        for number in sorted(found):
            for item in _items(utterances, *found[number], classes, target, runs[number], number):
                statuses[item["id"]] = worst([item["seen"], statuses.get(item["id"])])
                sink.item(item)
    _tell(sink.count, utterances, statuses.values(), progress)


def _items(
    utterances: _Utterances,
    rows: np.ndarray,
    logits: np.ndarray,
    classes: Sequence[str],
    target: str,
    run: Run,
    number: int,
) -> Iterator[manifest.Item]:
    """logits (rows, classes) of the run at `number`"""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    for index, row in zip(rows.tolist(), probabilities):
        gold = utterances.gold[index]
        item: manifest.Item = {
            "id": utterances.dataset.ids[index],
            "media": utterances.media[index],
            "split": utterances.splits[index] or None,
            "speaker": utterances.speakers[index] or None,
            "target": target,
            # A class that the classifier does not know is no error of its own.
            "gold": gold if gold in classes else None,
            "prediction": classes[int(row.argmax())],
            "scores": {c: round(float(p), 6) for c, p in zip(classes, row)},
            "run": run.run,
            "seen": utterances.status(number, index),
        }
        if run.fold is not None:
            item["fold"] = run.fold
        yield item


def _write_traces(
    settings: PredictSettings,
    header: ClassifierHeader,
    made: Provenance,
    utterances: _Utterances,
    passes: Iterator[Pass],
    windows: Windows,
    device: torch.device,
    progress: Progress,
) -> None:
    """A store with each label as a trace, its raters the runs, and which steps stand on a face."""
    outputs = header.traces
    assert outputs is not None
    names, rate_hz, delay_s = outputs.names, outputs.rate_hz, outputs.delay_s
    found = _traces(settings, header, utterances, passes, windows, device, progress)
    faces, statuses = utterances.faces, []
    spec = LabelSpec("trace", rate_hz=rate_hz, raters=header.run_count)
    streams = {} if faces is None else {face_presence.STREAM: face_presence.stream(rate_hz)}
    labels = dict.fromkeys(names, spec)
    steps = without = 0
    with store_writer(settings.output, made, streams=streams, labels=labels) as writer:
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
                # Of folds, as eval-ccc takes it: each is a test set.
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
                labels={name: values[:, :, place] for place, name in enumerate(names)},
                meta=meta,
            )
    words = f"; {without} of {steps} steps show no face" if steps else ""
    _tell(len(found), utterances, statuses, progress, words)


def _traces(
    settings: PredictSettings,
    header: ClassifierHeader,
    utterances: _Utterances,
    passes: Iterator[Pass],
    windows: Windows,
    device: torch.device,
    progress: Progress,
) -> dict[int, np.ndarray]:
    """Index of an utterance -> (T, runs, labels).

    Of folds, a run predicts an utterance by the weights that have not seen it. What was learned
    early stands late by as much, on the time line of the annotations.
    """
    outputs = header.traces
    assert outputs is not None
    found: dict[int, np.ndarray] = {}
    for part in passes:
        dataset = utterances.dataset.subset(part.rows)
        progress.start("predict", len(dataset))
        traces = heads.traces(
            part.encoder, part.heads, dataset, device, settings.batch_seconds, progress, windows
        )
        progress.finish()
        for index, values in zip(part.rows.tolist(), traces):
            values = delayed(values, outputs.rate_hz, outputs.delay_s)
            shape = len(values), header.run_count, len(outputs.names)
            whole = found.setdefault(index, np.full(shape, np.nan, dtype=np.float32))
            whole[:, [header.runs[number].run for number in part.numbers]] = values
    return found


def _tell(
    predictions: int,
    utterances: _Utterances,
    statuses: Iterable[str | None],
    progress: Progress,
    more: str = "",
) -> None:
    count = len(utterances.dataset)
    of = "" if count == utterances.asked else f" of {utterances.asked}"
    on = seen_words(training_speakers.counted(statuses), count)
    more += f"; on {on}" if on else ""
    progress.say(f"{predictions} predictions of {count}{of} utterances{more}")
