"""Classifiers that need no other file: `bundle` and `finetune --bundle`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from avaffect.core.errors import DataError
from avaffect.core.headers import (
    Bundle,
    ClassifierHeader,
    HeldEncoder,
    HeldOutScores,
    TrainedOn,
)
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance, of_role
from avaffect.core.streams import FEATURES
from avaffect.data import artifacts, manifest
from avaffect.data.store.reader import Store
from avaffect.models.inputs import ENCODER
from avaffect.recipes.common.lineage import encoder_of
from avaffect.recipes.downstream import recording_facts
from avaffect.recipes.downstream.bundle_parts import ENCODER_PREFIX, FACE_MODEL
from avaffect.recipes.downstream.predicted_labels import input_models
from avaffect.recipes.downstream.sources import Opened
from avaffect.recipes.encoding import checkpoints
from avaffect.settings.bundle import BundleSettings
from avaffect.settings.finetune import FinetuneSettings
from avaffect.training import checkpoint

# Modes whose runs have encoders of their own.
OWN_ENCODERS = ("fine-tuned", "scratch")


def run(
    settings: BundleSettings, scores: tuple[HeldOutScores, ...], made: Provenance,
    progress: Progress,
) -> None:  # fmt: skip
    """Write the bundle of a classifier, with scores of held-out utterances."""
    header, tensors = checkpoint.read(settings.classifier, ClassifierHeader)
    whole, tensors = bundled(settings.classifier, header, tensors)
    assert whole.bundle is not None
    whole = replace(whole, bundle=replace(whole.bundle, scores=scores))
    checkpoint.write(settings.output, replace(whole, provenance=made), tensors)
    size = settings.output.stat().st_size / 1e6
    progress.say(f"{settings.output}: {size:.1f} MB, {header.mode}, {header.run_count} run(s)")
    warn_of_folds(settings.output, header, progress)


def warn_of_folds(bundle: Path, header: ClassifierHeader, progress: Progress) -> None:
    """Of a bundle that does not predict recordings as they are: each is predicted by the run of its
    fold, and recordings are in none."""
    if header.of_folds:
        folds = count_of(len({run.fold for run in header.runs}), "fold")
        progress.warn(
            f"{bundle} has a run for each of {folds}: `predict` of recordings needs the manifest "
            "of `avaffect split --folds` as --annotations, and predicts each by the run of its "
            "fold; for new recordings, train with --folds 0"
        )


def bundled(
    model: Path, header: ClassifierHeader, tensors: dict[str, Tensor]
) -> tuple[ClassifierHeader, dict[str, Tensor]]:
    """The header and weights of a classifier with all that lies in other files.

    model: its file, from which its references are. Raises DataError, naming it, where one of these
    files is not found or recordings do not give what it reads.
    """
    facts = recording_facts.facts_of(model, header)
    tensors, held = dict(tensors), None
    if header.mode not in OWN_ENCODERS and ENCODER in input_models(header):
        held, weights = _encoder(model, header)
        tensors |= {f"{ENCODER_PREFIX}{name}": tensor for name, tensor in weights.items()}
    crops = facts.faces
    has_file = crops is not None and crops.model is not None
    if crops is not None and has_file:
        content = recording_facts.face_model_file(model, header, crops).read_bytes()
        tensors[FACE_MODEL] = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    bundle = Bundle(encoder=held, face_model=has_file, corpora=_corpora(model, header))
    return replace(header, bundle=bundle, recordings=facts), tensors


def check(settings: FinetuneSettings, opened: Opened) -> None:
    """Raises DataError, before training, where recordings do not give what the head reads."""
    streams = opened.sources.streams
    found = recording_facts.recordings_of(opened.sources.media, streams)
    recording_facts.check_known(settings.output, found, streams)
    own = opened.header.preprocessing.features if FEATURES in streams else None
    recording_facts.computed(settings.output, opened.made, own)


def _encoder(model: Path, header: ClassifierHeader) -> tuple[HeldEncoder, dict[str, Tensor]]:
    path = encoder_of(model, header)
    encoder, found = checkpoints.load_encoder(path, torch.device("cpu"))
    return HeldEncoder(content_id=found.content_id, model=found.model), encoder.state_dict()


def _corpora(model: Path, header: ClassifierHeader) -> tuple[TrainedOn, ...]:
    seen = set(header.seen.utterances) if header.seen is not None else set()
    speakers = dict(zip(header.seen.utterances, header.seen.speakers)) if header.seen else {}
    found = []
    for parent in header.parents("media"):
        try:
            store = Store(artifacts.locate_parent(parent, model))
        except DataError:
            found.append(TrainedOn(name=Path(parent["path"]).stem))
            continue
        mine = seen & set(store.ids)
        known = {speakers[one] for one in mine} - {""}
        found.append(TrainedOn(name=_name(store), utterances=len(mine), speakers=len(known)))
    return tuple(found)


def _name(store: Store) -> str:
    """The corpus that a store was preprocessed from; the store's own name where its manifest is not
    there."""
    for parent in of_role(store.provenance, "manifest"):
        path = store.path.resolve().parent / parent["path"]
        if parent["path"] and path.is_file():
            corpus = manifest.header_of(Path(os.path.relpath(path))).corpus
            return corpus or store.path.stem
    return store.path.stem
