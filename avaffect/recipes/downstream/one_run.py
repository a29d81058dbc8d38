"""Training of one run of `finetune`, on the material that all runs share."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avaffect.core import seeds
from avaffect.core.headers import RunHeader
from avaffect.data.balanced_sampling import BalancedSampling
from avaffect.data.batches import Bucketed, Vectors
from avaffect.data.vectors import ChosenVectors
from avaffect.models import lora, registry
from avaffect.models.heads.base import FittedHead
from avaffect.models.heads.labels import LabelHead
from avaffect.models.heads.two_streams import TwoStreamHead
from avaffect.models.inputs import ENCODER, Inputs
from avaffect.models.layers import read_layers
from avaffect.objectives.base import Objective
from avaffect.objectives.pooling import POOLED
from avaffect.objectives.supervised import Supervised
from avaffect.objectives.two_streams import TwoStreams
from avaffect.recipes.downstream import completed, fitting, frozen_inputs, heads, undertraining
from avaffect.recipes.downstream.head_group import HeadGroup
from avaffect.recipes.downstream.material import Material
from avaffect.recipes.downstream.partitions import Division
from avaffect.recipes.downstream.tasks.labels import Labels
from avaffect.recipes.downstream.windows import windows_of
from avaffect.recipes.encoding import checkpoints
from avaffect.settings.runs import AUTO, SGD
from avaffect.training import checkpoint
from avaffect.training.loop import train
from avaffect.training.run import Batches, Outcome, Run
from avaffect.training.spool import Spool
from avaffect.training.state import put_back, trained_tensors


def train_run(material: Material, division: Division, run: Run, path: Path) -> None:
    """Train one run and keep its weights in the state folder."""
    settings, fabric = material.settings, material.fabric
    torch.manual_seed(seeds.derive(division.seed, "initialise"))
    frozen = settings.mode == "frozen"
    inputs = material.inputs if frozen else _own_inputs(material)
    train_part = material.labels.chosen(division.train)
    read = material.opened.inputs
    head = train_part.head(
        str(settings.media[0]),
        lambda outputs: completed.new_head(settings, read.described, outputs),
        read.layer_sum(standardise=frozen),
    )
    folder = path.with_suffix("")
    folder.mkdir(exist_ok=True)
    run = replace(run, seed=division.seed, folder=folder)
    if frozen:
        frozen_inputs.standardise(head, material, np.flatnonzero(division.train), run)
    if isinstance(head.head, FittedHead):
        metrics = fitting.fit(
            material, division, head, lambda: _score(head, inputs, material, division, None)
        )
        if fabric.global_rank == 0:
            _write(head, {}, metrics, run, path)
            _finish(run)
        fabric.barrier()
        return
    objective = _objective(material, division, head, inputs, train_part)
    ids = zip(material.labels.utterances.ids, division.train)
    material.treatment.apply(objective, frozenset(i for i, trains in ids if not trains))
    if division.development.any() and settings.select != "none":

        def evaluate(_: Objective, kept: Spool | None) -> dict[str, float]:
            return _score(head, inputs, material, division, kept)

        selected = completed.selected(settings, material.labels)
        run = replace(run, evaluate=evaluate, select=selected)
    batches = batches_of(material, division)
    outcome = train(
        objective,
        batches,
        completed.long_enough(settings, batches),
        replace(run, steady=settings.select == AUTO, keep_last=settings.last is not None),
        fabric,
        material.progress,
    )
    if fabric.global_rank == 0:
        metrics = _metrics(train_part, outcome, run)
        if outcome.weights is not None:
            _write_last(material, head, inputs, objective, outcome, metrics, run, path)
        _write(head, _trained(material, inputs), metrics, run, path)
        _finish(run)
    fabric.barrier()


def _objective(
    material: Material, division: Division, head: LabelHead, inputs: Inputs, part: Labels
) -> Supervised | TwoStreams:
    """What a head that is trained step by step learns on the training part."""
    settings = material.settings
    assert settings.head_penalty is not None
    kind = TwoStreams if isinstance(head.head, TwoStreamHead) else Supervised
    objective = kind(
        head,
        part.criteria(),
        inputs if material.vectors is None else None,
        settings.mode == "frozen",
        completed.rates(settings),
        settings.head_penalty / division.train.sum(),
    )
    if settings.optimiser == SGD:
        objective.sgd_momentum = settings.momentum
    if settings.betas is not None:
        objective.betas = settings.betas
    return objective


def _write_last(
    material: Material,
    head: LabelHead,
    inputs: Inputs,
    objective: Objective,
    outcome: Outcome,
    metrics: dict[str, Any],
    run: Run,
    path: Path,
) -> None:
    """Write the weights of the last epoch, and put those of the selected one back."""
    assert outcome.weights is not None
    selected = {name: value.clone() for name, value in trained_tensors(objective).items()}
    put_back(objective, outcome.weights)
    of_last = {**metrics, "development": outcome.newest}
    _write(head, _trained(material, inputs), of_last, run, last_of(path))
    put_back(objective, selected)


def last_of(path: Path) -> Path:
    """Where the weights of a run's last epoch are kept, beside those of the selected one."""
    return path.with_name(f"{path.stem}-last{path.suffix}")


def _trained(material: Material, inputs: Inputs) -> dict[str, Tensor]:
    """What a run keeps of the encoder that it trained: all, or its adapters; nothing of one that
    all runs share."""
    encoder = inputs.encoder
    if encoder is None or material.settings.mode == "frozen":
        return {}
    if material.treatment.adapters is not None:
        return {f"adapters.{name}": tensor for name, tensor in lora.weights(encoder).items()}
    return {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}


def _metrics(part: Labels, outcome: Outcome, run: Run) -> dict[str, Any]:
    """Of a run that was trained step by step, on its training part."""
    assert run.history is not None
    return {
        "development": outcome.best,
        "first": outcome.first,
        "last": outcome.last,
        "training": undertraining.ended(run.history, run.tags, part, outcome.kept_last),
    }


def _write(
    head: LabelHead, trained: dict[str, Tensor], metrics: dict[str, Any], run: Run, path: Path
) -> None:
    """Write a run's weights, those of its trained encoder, and its metrics."""
    run.check()
    weights = {f"head.{name}": tensor for name, tensor in head.state_dict().items()} | trained
    if head.layer_sum is not None:
        metrics = {**metrics, "layers": head.layer_sum.described()}
    checkpoint.write(path, RunHeader(model=registry.describe(head), metrics=metrics), weights)


def _finish(run: Run) -> None:
    """Delete the saved state of a finished run, which nothing resumes."""
    assert run.folder is not None
    shutil.rmtree(run.folder, ignore_errors=True)


def _own_inputs(material: Material) -> Inputs:
    """Inputs whose encoder a run trains itself: a fresh copy, or random weights from scratch; of
    all runs the same with new adapters."""
    settings, adapters = material.settings, material.treatment.adapters
    if adapters is not None:
        shared = material.opened.inputs
        assert shared.encoder is not None
        lora.insert(shared.encoder, adapters)
        return shared
    assert settings.encoder is not None
    encoder, header = checkpoints.load_encoder(settings.encoder, torch.device("cpu"))
    if settings.mode == "scratch":
        encoder = registry.build(header.model)
    read = read_layers(encoder, completed.read_layers(settings))
    shared = material.opened.inputs
    return Inputs({**shared.encoders, ENCODER: read}, shared.either)


def batches_of(material: Material, division: Division) -> Batches:
    """Training batches; of means that are computed once, vectors."""
    settings = material.settings
    rows, seed = np.flatnonzero(division.train), division.seed
    groups = material.labels.chosen(division.train).sampled()
    sampling = None if groups is None else BalancedSampling(groups, seed)
    if material.vectors is None:
        dataset = material.dataset.subset(rows)
        dataset.crop_s = None if material.form.whole else settings.crop_seconds
        dataset.seed = seed
        limits = settings.batch_seconds, settings.batch_utterances
        return Bucketed(dataset, *limits, seed, sampling)
    labels = {name: values[rows] for name, values in material.dataset.labels.items()}
    vectors = material.vectors
    chosen = vectors.subset(rows) if isinstance(vectors, ChosenVectors) else vectors[rows]
    return Vectors(POOLED, chosen, labels, settings.batch_utterances, seed, sampling)


def _score(
    head: LabelHead, inputs: Inputs, material: Material, division: Division, kept: Spool | None
) -> dict[str, float]:
    """Scores on development."""
    settings, fabric, progress = material.settings, material.fabric, material.progress
    rows = np.flatnonzero(division.development)
    labels = material.labels.chosen(division.development)
    rate_hz = material.form.steps_hz
    if material.pooled is not None:
        vectors = torch.from_numpy(material.pooled[rows]).to(fabric.device)
        predicted = head.utterances(head(head.of_rows(vectors)))
        return labels.score(predicted.cpu().numpy(), None, rate_hz)
    group = HeadGroup(inputs, [head], fabric.device, settings.batch_seconds, progress)
    dataset = material.dataset.subset(rows)
    utterances = traces = None
    with progress.task("development", len(rows)):
        if labels.over_time:
            found = heads.traces(group, dataset, windows_of(settings.window), kept)
            traces = [row[:, 0] for row in found]
        if len(labels.over_time) < len(labels.tasks):
            # The rows that an interrupted evaluation keeps belong to one pass.
            kept = None if labels.over_time else kept
            utterances = heads.utterance_scores(group, dataset, kept)[:, 0]
    return labels.score(utterances, traces, rate_hz)
