"""Shared by the pre-training commands: from stores to an encoder's checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from avaffect.core import headers, seeds
from avaffect.core.claims import state_folder
from avaffect.core.errors import DataError
from avaffect.core.headers import CheckpointHeader, EncoderHeader
from avaffect.core.nouns import count_of
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import Provenance
from avaffect.data.batches import Bucketed, useful_share
from avaffect.data.dataset import Dataset
from avaffect.data.labels import Annotations
from avaffect.data.store.reader import Store
from avaffect.evaluation.clustering import effective_rank
from avaffect.models.encoder import Encoder
from avaffect.objectives.base import Objective, Pretraining
from avaffect.recipes.common import training_run
from avaffect.recipes.common.stores import chosen_ids, in_split
from avaffect.recipes.encoding import checkpoints, extraction
from avaffect.recipes.pretraining.kept_objective import (
    Kept,
    continue_objective,
    kept_in,
    load_objective,
)
from avaffect.recipes.pretraining.utterances import check_together, learnable, training_ids
from avaffect.settings.pretraining import PretrainingSettings
from avaffect.settings.training import TrainingSettings
from avaffect.training import checkpoint
from avaffect.training.device import make_fabric
from avaffect.training.ending import parsed
from avaffect.training.evaluation import evaluate
from avaffect.training.loop import check_coupled, train
from avaffect.training.meter import Metrics
from avaffect.training.run import Outcome, Run
from avaffect.training.spool import Spool
from avaffect.training.state import metrics_path

if TYPE_CHECKING:
    from lightning_fabric import Fabric

AllMetrics = dict[str, Metrics]
RANK_UTTERANCES = 512
# An effective rank below this is a collapse, where the rank could be higher.
COLLAPSED_RANK = 2.0
FEWEST_DIRECTIONS = 8


@dataclass
class Method:
    """A pre-training method, for `start.pretrain`.

    kinds        names of the encoders that it trains
    new_encoder  makes a fresh encoder for recordings in these stores
    objective    makes the objective around an encoder; with the objective in the encoder's
                 checkpoint, where it is continued and has one
    convert      makes of the encoder of --init, and its objective, those of this run (other numbers
                 of pictures); None: they are used as they are
    others       stores of further streams that the objective reads (units)
    parents      models of these streams, whose labelled speakers the encoder inherits
    otherwise    advice where the objective of the checkpoint cannot be continued; None: the
                 objective then has new heads
    finish       called with the trained objective and the data, of the development split where
                 there is one; also where the encoder was up to date (a preview)
    """

    kinds: tuple[str, ...]
    new_encoder: Callable[[Sequence[Store]], Encoder]
    objective: Callable[[Encoder, Kept | None], Pretraining]
    convert: Callable[[Encoder, Kept | None], tuple[Encoder, Kept | None]] | None = None
    others: Sequence[Store] = ()
    parents: Sequence[Path] = ()
    otherwise: str | None = None
    finish: Callable[[Any, Dataset], None] | None = None


def run(
    settings: PretrainingSettings,
    method: Method,
    stores: Sequence[Store],
    made: Provenance,
    progress: Progress,
) -> None:
    """Pre-train (or, with no steps, only initialise) an encoder and write it.

    Raises DataError where the recordings give nothing to learn from, or --init is no such encoder.
    """
    torch.manual_seed(seeds.derive(settings.seed, "initialise"))
    objective, words = _start(settings, method, stores, made["command"])
    encoder = objective.encoder
    fabric = make_fabric(settings.device, settings.precision)
    metrics: AllMetrics = {}
    shown: Dataset | None = None
    with training_run.running(settings, made, fabric, progress, settings.seed) as opened:
        if opened is None:
            return
        if words and fabric.global_rank == 0:
            progress.say(words)
        if settings.steps != 0:
            metrics, shown = _train(settings, method, stores, objective, opened, fabric, progress)
        if fabric.global_rank == 0:
            opened.check()
            checkpoints.save_encoder(
                settings.output,
                encoder,
                objective,
                provenance=made,
                metrics=metrics,
                labelled_speakers=labelled_speakers(settings.init, *method.parents),
            )
            progress.say(summary(settings.output, settings.init, metrics, objective.loss))
    if fabric.global_rank == 0 and method.finish is not None and shown is not None:
        method.finish(objective.eval(), shown)


def _train(
    settings: PretrainingSettings, method: Method, stores: Sequence[Store],
    objective: Pretraining, run: Run, fabric: Fabric, progress: Progress,
) -> tuple[AllMetrics, Dataset]:  # fmt: skip
    """Train the objective in place; its metrics, and the data for a preview: of the development
    split where there is one."""
    dataset = _training_data(settings, method, stores, objective, progress)
    batches = bucketed(dataset, settings, progress)
    check_together(batches.plan(0), objective.needs.together)
    check_coupled(objective, settings, fabric)
    held_out = _development(settings, stores, method, objective)
    if held_out is not None:
        run = replace(run, evaluate=partial(_score, held_out, settings.seed, progress))
    outcome = train(objective, batches, settings, run, fabric, progress)
    if fabric.global_rank == 0 and not _learned(outcome, settings.output, objective.loss):
        training_run.discard_state(state_folder(settings.output))
        raise DataError(
            f"{settings.media[0]}: nothing was learned: in {count_of(outcome.steps, 'step')} the "
            f"loss {objective.loss} was computed for no utterance; use larger batches or longer "
            "utterances"
        )
    metrics = {"first": outcome.first, "last": outcome.last}
    scored: Metrics = {}
    if held_out is not None:
        kept = run.spool("development", progress.warn, fabric.global_rank == 0)
        metrics["development"] = evaluate(objective, held_out, settings.seed, kept, progress)
        scored = _of_development(metrics["development"])
    wrong = objective.collapse({**outcome.last, **scored})
    if wrong is not None:
        progress.warn(wrong)
    found = rank(objective.encoder, dataset, settings, run, progress, fabric)
    metrics["features"] = {"effective_rank": found}
    return metrics, dataset if held_out is None else held_out.dataset


def finish_again(
    settings: PretrainingSettings, method: Method, stores: Sequence[Store], progress: Progress
) -> None:
    """Call `finish` with an encoder and an objective that are up to date."""
    assert method.finish is not None
    objective = load_objective(settings.output, "make it again with --force")
    fabric = make_fabric(settings.device, settings.precision)
    held_out = _development(settings, stores, method, objective)
    if held_out is None:
        dataset = _training_data(settings, method, stores, objective, SILENT)
    else:
        dataset = held_out.dataset
    if fabric.global_rank == 0:
        method.finish(objective.to(fabric.device).eval(), dataset)


def _training_data(
    settings: PretrainingSettings, method: Method, stores: Sequence[Store], objective: Pretraining,
    progress: Progress,
) -> Dataset:  # fmt: skip
    ids = training_ids(settings, stores, progress)
    if method.others and not _held(ids, method.others):
        raise DataError(
            f"{method.others[0].path} has none of the utterances in {settings.media[0]}; extract "
            "it from this store"
        )
    return learnable(settings, stores, method.others, ids, objective, progress)


def _held(ids: Sequence[str], stores: Sequence[Store]) -> bool:
    return any(identifier in store.rows for store in stores for identifier in ids)


def _learned(outcome: Outcome, output: Path, loss: str) -> bool:
    """Whether a loss was counted in any step."""
    if loss in outcome.first or loss in outcome.last:
        return True
    history = metrics_path(output)
    lines = history.read_bytes().splitlines() if history.exists() else []
    return any(loss in parsed(line) for line in lines)


def summary(output: Path, init: Path | None, metrics: AllMetrics, loss: str) -> str:
    """The final message: the loss at the start and at the end, and the rank of the features."""
    if not metrics and init is not None:
        return f"{output}: the weights of {init}, not trained further"
    found = metrics.get("features", {}).get("effective_rank")
    words = training_run.summary(output, metrics, loss)
    if loss in metrics.get("development", {}):
        words += f", {metrics['development'][loss]:.3f} on development"
    return words + (f"; effective rank of its features {found:.1f}" if found is not None else "")


def labelled_speakers(*parents: Path | None) -> tuple[str, ...]:
    """Speakers whose labels trained the models that this one inherits from."""
    known = [headers.read(path, CheckpointHeader) for path in parents if path is not None]
    return headers.labelled_speakers(*known)


def rank(
    encoder: Encoder, dataset: Dataset, settings: TrainingSettings, run: Run, progress: Progress,
    fabric: Fabric,
) -> float:  # fmt: skip
    """Effective rank of the pooled features of some utterances: a collapse shows here, not in the
    loss, and is a warning."""
    some = seeds.generator(settings.seed, "rank").permutation(len(dataset))[:RANK_UTTERANCES]
    streams = tuple(name for name in dataset.columns if name in encoder.streams)
    with progress.task("rank of the features", len(some)):
        pooled = extraction.pooled_means(
            extraction.wrap_encoder(encoder.eval(), None, {}, streams),
            dataset.subset(np.sort(some)),
            next(encoder.parameters()).device,
            progress,
            settings.batch_seconds,
            kept=run.spool("rank", progress.warn, fabric.global_rank == 0),
        )
    found = effective_rank(pooled)
    # The largest possible rank: few utterances, without their mean, span few directions.
    if found < COLLAPSED_RANK and min(pooled.shape[1], len(pooled) - 1) > FEWEST_DIRECTIONS:
        progress.warn(
            f"the features of different utterances differ in one direction or none (effective rank "
            f"{found:.1f} of {pooled.shape[1]}): the encoder has collapsed"
        )
    return found


def bucketed(dataset: Dataset, settings: TrainingSettings, progress: Progress) -> Bucketed:
    """The batches of a run, and a message on them."""
    durations = dataset.batch_durations()
    batches = Bucketed(dataset, settings.batch_seconds, settings.batch_utterances, settings.seed)
    plan = batches.plan(0)
    progress.say(
        f"{count_of(len(dataset), 'utterance')}, {dataset.durations().sum() / 3600:.2f} h, "
        f"{count_of(len(plan), 'batch')} an epoch, {useful_share(durations, plan):.1%} of their "
        "frames useful"
    )
    return batches


def _start(
    settings: PretrainingSettings, method: Method, stores: Sequence[Store], command: str
) -> tuple[Pretraining, str | None]:
    """The objective around a new encoder or that of --init; heads of --init are continued where
    they fit.

    Raises DataError where --init is no encoder for this command, or its objective should be
    continued and cannot be.
    """
    init = settings.init
    if init is None:
        return method.objective(method.new_encoder(stores), None), None
    header, tensors = checkpoint.read(init, EncoderHeader)
    encoder = checkpoint.build(header.model, tensors, init).eval()
    _check_kind(init, header, method, command)
    must = method.otherwise if not settings.reset_head else None
    try:
        kept = kept_in(init, header, tensors, encoder, must or "")
    except DataError:
        if must is not None:
            raise
        kept = None
    if method.convert is not None:
        encoder, kept = method.convert(encoder, kept)
    objective = method.objective(encoder, kept)
    if settings.reset_head:
        return objective, "new heads: --reset-head"
    other = "no objective" if kept is None else continue_objective(objective, kept)
    if other is None:
        return objective, f"objective continued from {init}"
    if must is not None:
        raise DataError(f"{init} holds {other}: {must}")
    return objective, f"new heads: {init} holds {other}"


def _check_kind(init: Path, header: EncoderHeader, method: Method, command: str) -> None:
    if header.model["name"] not in method.kinds:
        raise DataError(
            f"--init {init} was made by {header.command or 'another program'} and is of "
            f"the kind {header.model['name']}; {command} trains the kind "
            f"{' or '.join(method.kinds)}: give such an encoder, or leave --init out"
        )


def _development(
    settings: PretrainingSettings, stores: Sequence[Store], method: Method, objective: Pretraining
) -> Bucketed | None:
    """Batches of the split development, with the same crops each time, and what is drawn in
    training (pictures) at even places; None where there are none.

    None without splits, where all utterances are training data; with --split, whose users know
    their other splits; and where other streams (units) were made of the training split alone.
    """
    split = [store for store in stores if "development" in Annotations({}).field(store, "split")]
    if settings.split != "train" or not split:
        return None
    ids = chosen_ids(split, in_split(split, "development"))
    if method.others and not _held(ids, method.others):
        return None
    dataset = learnable(settings, split, method.others, ids, objective)
    dataset.sampling = replace(dataset.sampling, drawn=False)
    return Bucketed(dataset, settings.batch_seconds, settings.batch_utterances, settings.seed)


def _score(
    held_out: Bucketed, seed: int, progress: Progress, objective: Objective, kept: Spool | None
) -> dict[str, float]:
    return _of_development(evaluate(objective, held_out, seed, kept, progress))


def _of_development(found: Metrics) -> Metrics:
    return {f"development_{name}": value for name, value in found.items()}
