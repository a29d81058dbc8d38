"""`predict`: apply a classifier to stores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from avaffect.core.checkpoint_header import Header
from avaffect.core.errors import DataError
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import of_role
from avaffect.data import artifacts, manifest
from avaffect.data.dataset import Dataset, dataset_of, held_streams, unique_ids
from avaffect.data.labels import Annotations, class_labels
from avaffect.data.store import Store
from avaffect.models import registry
from avaffect.models.encoder import Encoder
from avaffect.recipes import common, encoders, extraction
from avaffect.recipes.modality import check_faces, gives_frames, leave_out_words
from avaffect.settings.predict import PredictSettings
from avaffect.training import checkpoint
from avaffect.training.device import resolve_device


@dataclass(frozen=True)
class _Utterances:
    dataset: Dataset
    splits: list[str]
    folds: list[str]
    speakers: list[str]
    gold: list[str | None]
    asked: int


def predict(settings: PredictSettings, progress: Progress = SILENT) -> None:
    """Write a manifest of predictions.

    Raises DataError where no utterance is in the split, or the folds of the classifier are unknown.
    """
    header, tensors = checkpoint.load(settings.model, expect="classifier")
    stores = common.open_stores(settings.media)
    unique_ids(stores)
    made = common.record(
        "predict",
        settings,
        [
            *common.store_inputs("media", stores),
            *common.file_inputs("model", [settings.model]),
            *common.file_inputs("annotations", [settings.annotations]),
        ],
    )
    if common.is_done(settings, made, progress, f"predict with {settings.model}"):
        return
    target, classes = next(iter(header["labels"].items()))
    utterances = _utterances(settings, stores, header, target, progress)
    device = resolve_device(settings.device)
    facts = {
        "target": target,
        "classes": classes,
        "runs": len({run["run"] for run in header["runs"]}),
    }
    with manifest.writer(
        settings.output, manifest.new_header("predictions", **facts, provenance=made)
    ) as sink:
        for number, logits in _runs(settings, header, tensors, utterances, device, progress):
            run = header["runs"][number]
            for item in _items(utterances, logits, classes, target, run["run"], run["fold"]):
                sink.item(item)
    count = len(utterances.dataset)
    of = "" if count == utterances.asked else f" of {utterances.asked}"
    progress.say(f"{sink.count} predictions of {count}{of} utterances")


def _utterances(
    settings: PredictSettings,
    stores: list[Store],
    header: Header,
    target: str,
    progress: Progress,
) -> _Utterances:
    annotations = Annotations.read(settings.annotations, stores)
    split = settings.split or "all"
    masks = common.in_split(stores, split, annotations)
    ids = common.chosen_ids(stores, masks)

    def field(name: str) -> list[str]:
        return common.concatenate([annotations.field(store, name) for store in stores], masks)

    golds = [_gold(store, target, header.get("classes"), annotations) for store in stores]
    streams = held_streams(stores, header["preprocessing"]["streams"])
    with torch.device("meta"):
        # Its weights are nobody's concern here.
        encoder = registry.build(header["encoder"])
    check_faces(encoder, stores, streams)
    shown = gives_frames(encoder, stores, ids, streams)
    if ids and not shown.any():
        raise DataError(f"{stores[0].path}: no utterance has a frame of {' or '.join(streams)}")
    if not shown.all():
        progress.warn(leave_out_words(shown, ids, streams))
    rows = np.flatnonzero(shown).tolist()
    columns = [
        ids, field("split"), field("fold"), field("speaker"), common.concatenate(golds, masks)
    ]  # fmt: skip
    ids, *others = [[column[row] for row in rows] for column in columns]
    return _Utterances(dataset_of(stores, ids, streams), *others, len(shown))


def _gold(
    store: Store, target: str, classes: str | None, annotations: Annotations
) -> list[str | None]:
    """Each utterance's class as the classifier names it; None where it has none."""
    labelled = any(target in item.get("labels", {}) for item in annotations.items.values())
    if target not in store.labels and not labelled:
        return [None] * store.count
    found = class_labels(store, target, classes, annotations)
    return [found.classes[value] if value >= 0 else None for value in found.values]


def _runs(
    settings: PredictSettings,
    header: Header,
    tensors: dict[str, Tensor],
    utterances: _Utterances,
    device: torch.device,
    progress: Progress,
) -> Iterator[tuple[int, np.ndarray]]:
    """(run, (N, classes) logits); features of a frozen encoder are computed once."""
    frozen = None
    if header["mode"] == "frozen":
        parent = of_role(header["provenance"], "encoder")[0]
        path = artifacts.locate_parent(parent, settings.model)
        encoder, _ = encoders.load_encoder(path, device)
        frozen = _pooled(settings, encoder, utterances.dataset, device, progress)
    for number in range(len(header["runs"])):
        prefix = f"runs.{number}."
        head = checkpoint.build(header["model"], tensors, settings.model, prefix + "head.")
        head.to(device).eval()
        pooled = frozen
        if pooled is None:
            encoder = checkpoint.build(
                header["encoder"], tensors, settings.model, prefix + "encoder."
            )
            encoder.to(device).eval()
            pooled = _pooled(settings, encoder, utterances.dataset, device, progress)
        with torch.inference_mode():
            yield number, head(torch.from_numpy(pooled).to(device)).cpu().numpy()


def _pooled(
    settings: PredictSettings,
    encoder: Encoder,
    dataset: Dataset,
    device: torch.device,
    progress: Progress,
) -> np.ndarray:
    progress.start("predict", len(dataset))
    found = extraction.pooled_means(
        extraction.wrap_encoder(encoder, None, {}, tuple(dataset.columns)), dataset, device,
        progress, settings.batch_seconds,
    )  # fmt: skip
    progress.finish()
    return found


def _items(
    utterances: _Utterances,
    logits: np.ndarray,
    classes: list[str],
    target: str,
    run: int,
    fold: int | None,
) -> Iterator[manifest.Item]:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    if fold is not None and not any(utterances.folds):
        raise DataError(
            "the classifier has a run for each fold, but these utterances are in none; give the "
            "manifest of `avaffect split --folds` as --annotations"
        )
    for index, identifier in enumerate(utterances.dataset.ids):
        if fold is not None and utterances.folds[index] != str(fold):
            continue
        gold = utterances.gold[index]
        item: manifest.Item = {
            "id": identifier,
            "split": utterances.splits[index] or None,
            "speaker": utterances.speakers[index] or None,
            "target": target,
            # A class that the classifier does not know is no error of its own.
            "gold": gold if gold in classes else None,
            "prediction": classes[int(probabilities[index].argmax())],
            "scores": {c: round(float(p), 6) for c, p in zip(classes, probabilities[index])},
            "run": run,
        }
        if fold is not None:
            item["fold"] = fold
        yield item
