"""What the pre-training commands share: from stores to an encoder's checkpoint."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from avaffect.core import headers, seeds
from avaffect.core.errors import DataError
from avaffect.core.headers import CheckpointHeader, EncoderHeader
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import Provenance
from avaffect.data import manifest
from avaffect.data.batches import Bucketed, useful_share
from avaffect.data.dataset import Dataset, dataset_of, held_streams
from avaffect.data.labels import Annotations
from avaffect.data.store.reader import Store
from avaffect.evaluation.clustering import effective_rank
from avaffect.models import registry
from avaffect.models.encoder import Encoder
from avaffect.objectives.base import Objective
from avaffect.recipes.common import training_run, work
from avaffect.recipes.common.stores import chosen_ids, in_split
from avaffect.recipes.common.subset import chosen_share
from avaffect.recipes.encoding import checkpoints, extraction
from avaffect.recipes.encoding.input_streams import chosen_streams, frame_counts
from avaffect.settings.pretraining import PretrainingSettings
from avaffect.settings.training import TrainingSettings
from avaffect.training import checkpoint
from avaffect.training.device import make_fabric
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
# An effective rank below this is a collapse, where there could be more than so many directions.
COLLAPSED_RANK = 2.0
FEWEST_DIRECTIONS = 8
# More than any utterance has, where the fewest that an encoder needs are looked for.
LONGEST_STEPS = 2**40


@dataclass
class Method:
    """One way of pre-training, for `pretrain.pretrain`.

    new_encoder    makes a fresh encoder for recordings that these stores hold
    objective      makes the objective around an encoder
    head           what of the objective is saved beside the encoder, under the name of `loss`
    loss           the loss whose start and end are told
    fewest_frames  of an utterance that can take part
    fewest_together  utterances of a batch that can teach anything
    pretext        what the task was, for the checkpoint's header
    beside         streams that the objective reads besides the encoder's, and the fewest steps of
                   each that an utterance needs
    finish         called with the trained objective and the data, unseen where there is such; also
                   where the encoder was there already (a preview)
    watch          what is wrong with the objective, by its last metrics, those of the split
                   development among them (development_X): said as a warning
    """

    new_encoder: Callable[[Sequence[Store]], Encoder]
    objective: Callable[[Encoder], Objective]
    head: Callable[[Objective], nn.Module]
    loss: str
    fewest_frames: int
    pretext: dict[str, Any]
    fewest_together: int = 1
    beside: dict[str, int] = field(default_factory=dict)
    finish: Callable[[Objective, Dataset], None] | None = None
    watch: Callable[[Objective, Metrics], str | None] | None = None


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
    encoder = _encoder(settings, method, stores, made["command"])
    objective = method.objective(encoder)
    fabric = make_fabric(settings.device, settings.precision)
    metrics: AllMetrics = {}
    shown: Dataset | None = None
    with training_run.running(settings, made, fabric, progress, settings.seed) as opened:
        if opened is None:
            return
        if settings.steps != 0:
            metrics, shown = _train(
                settings, method, stores, objective, encoder, opened, fabric, progress
            )
        if fabric.global_rank == 0:
            opened.check()
            checkpoints.save_encoder(
                settings.output,
                encoder,
                None,
                {method.loss: method.head(objective)},
                provenance=made,
                metrics=metrics,
                labelled_speakers=labelled_speakers(settings.init),
                pretext=method.pretext,
            )
            progress.say(told(settings.output, settings.init, metrics, method.loss))
    if fabric.global_rank == 0 and method.finish is not None and shown is not None:
        method.finish(objective.eval(), shown)


def _train(
    settings: PretrainingSettings, method: Method, stores: Sequence[Store],
    objective: Objective, encoder: Encoder, run: Run, fabric: Fabric, progress: Progress,
) -> tuple[AllMetrics, Dataset]:  # fmt: skip
    """Train the objective in place; its metrics, and the data to show what it does: unseen ones
    where there are such."""
    ids = training_ids(settings, stores, progress)
    dataset = _dataset(settings, stores, ids, encoder, method, progress)
    batches = bucketed(dataset, settings, progress)
    _check_together(batches, method.fewest_together)
    check_coupled(objective, settings, fabric)
    unseen = _development(settings, stores, encoder, method)
    if unseen is not None:
        run = replace(run, evaluate=partial(_score, unseen, settings.seed, progress))
    outcome = train(objective, batches, settings, run, fabric, progress)
    if fabric.global_rank == 0 and not _learned(outcome, settings.output, method.loss):
        training_run.discard_state(run.folder)
        raise DataError(
            f"{settings.media[0]}: nothing was learned, for no {method.loss} loss was counted "
            f"in {outcome.steps} steps; use larger batches or longer utterances"
        )
    metrics = {"first": outcome.first, "last": outcome.last}
    scored: Metrics = {}
    if unseen is not None:
        kept = run.spool("development", progress.warn, fabric.global_rank == 0)
        metrics["development"] = evaluate(objective, unseen, settings.seed, kept, progress)
        scored = _of_development(metrics["development"])
    if method.watch is not None:
        wrong = method.watch(objective, {**outcome.last, **scored})
        if wrong is not None:
            progress.warn(wrong)
    metrics["features"] = {
        "effective_rank": rank(encoder, dataset, settings, run, progress, fabric)
    }
    return metrics, dataset if unseen is None else unseen.dataset


def finish_again(
    settings: PretrainingSettings, method: Method, stores: Sequence[Store], progress: Progress
) -> None:
    """What `finish` does, with an encoder and a head that are there already."""
    assert method.finish is not None
    header, tensors = checkpoint.read(settings.output, EncoderHeader)
    encoder = checkpoint.build(header.model, tensors, settings.output)
    objective = method.objective(encoder)
    checkpoint.load_into(method.head(objective), tensors, settings.output, f"{method.loss}.")
    fabric = make_fabric(settings.device, settings.precision)
    unseen = _development(settings, stores, encoder, method)
    if unseen is None:
        ids = training_ids(settings, stores, SILENT)
        dataset = _dataset(settings, stores, ids, encoder, method)
    else:
        dataset = unseen.dataset
    if fabric.global_rank == 0:
        method.finish(objective.to(fabric.device).eval(), dataset)


def _check_together(batches: Bucketed, fewest: int) -> None:
    """Raises DataError where every batch of the first epoch has fewer utterances than that."""
    largest = max(len(indices) for indices in batches.plan(0))
    if largest < fewest:
        raise DataError(
            f"the largest batch has {largest} utterances, and this task compares {fewest}: use "
            "more utterances, or a larger --batch-seconds"
        )


def _learned(outcome: Outcome, output: Path, loss: str) -> bool:
    """Whether a loss was counted in any step."""
    if loss in outcome.first or loss in outcome.last:
        return True
    history = metrics_path(output)
    lines = history.read_text(encoding="utf-8").splitlines() if history.exists() else []
    return any(loss in json.loads(line) for line in lines)


def told(output: Path, init: Path | None, metrics: AllMetrics, loss: str) -> str:
    """The last word: the loss at the start and at the end, and the rank of the features."""
    if not metrics and init is not None:
        return f"{output}: the weights of {init}, not trained further"
    found = metrics.get("features", {}).get("effective_rank")
    words = training_run.summary(output, metrics, loss)
    if loss in metrics.get("development", {}):
        words += f", {metrics['development'][loss]:.3f} on development"
    return words + (f"; effective rank of its features {found:.1f}" if found is not None else "")


def labelled_speakers(*parents: Path | None) -> tuple[str, ...]:
    """Whose labels the models behind this one have seen."""
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
    # So many directions at most: what is left of few utterances without their mean has few.
    if found < COLLAPSED_RANK and min(pooled.shape[1], len(pooled) - 1) > FEWEST_DIRECTIONS:
        progress.warn(
            f"the features of different utterances differ in one direction or none (effective rank "
            f"{found:.1f} of {pooled.shape[1]}): the encoder has collapsed"
        )
    return found


def training_ids(
    settings: PretrainingSettings, stores: Sequence[Store], progress: Progress
) -> list[str]:
    """The utterances to train on: of the split, of the manifest --only, and a share of these.

    Which ones does not depend on the task: encoders of different tasks learn from the same.
    Raises DataError where --only names no utterance of the stores, or none of the split.
    """
    ids = chosen_ids(stores, in_split(stores, settings.split))
    if settings.only is not None:
        wanted = _listed(settings.only, stores, progress)
        inside = [identifier for identifier in ids if identifier in wanted]
        if not inside:
            raise DataError(
                f"{settings.only}: none of its utterances is in the split {settings.split!r}; use "
                "others, or --split all"
            )
        progress.say(f"{len(inside)} of {len(ids)} utterances are in {settings.only}")
        ids = inside
    chosen = chosen_share(ids, settings.fraction, settings.seed)
    if settings.fraction < 1:
        progress.say(f"--fraction {settings.fraction:g}: {chosen.sum()} of {len(ids)} utterances")
    return [ids[row] for row in np.flatnonzero(chosen)]


def _listed(path: Path, stores: Sequence[Store], progress: Progress) -> set[str]:
    """The ids of a manifest that are in the stores; others are counted in a warning."""
    wanted = [item["id"] for item in manifest.read(path, expect="corpus").items]
    absent = [i for i in wanted if not any(i in store.rows for store in stores)]
    if len(absent) == len(wanted):
        raise DataError(
            f"{path}: none of its {len(wanted)} utterances is in "
            f"{', '.join(str(store.path) for store in stores)}"
        )
    if absent:
        progress.warn(
            f"{len(absent)} of the {len(wanted)} utterances of {path} are not in the stores: "
            f"{work.some_of(absent)}"
        )
    return set(wanted)


def bucketed(dataset: Dataset, settings: TrainingSettings, progress: Progress) -> Bucketed:
    """The batches of a run, and a word on them."""
    durations = dataset.batch_durations()
    batches = Bucketed(dataset, settings.batch_seconds, settings.batch_utterances, settings.seed)
    plan = batches.plan(0)
    progress.say(
        f"{len(dataset)} utterances, {dataset.durations().sum() / 3600:.2f} h, {len(plan)} batches "
        f"an epoch, {useful_share(durations, plan):.1%} of their frames useful"
    )
    return batches


def _encoder(
    settings: PretrainingSettings, method: Method, stores: Sequence[Store], command: str
) -> Encoder:
    fresh = method.new_encoder(stores)
    if settings.init is None:
        return fresh
    found, header = checkpoints.load_encoder(settings.init, torch.device("cpu"))
    if type(found) is not type(fresh):
        maker = header.command or "another program"
        raise DataError(
            f"--init {settings.init} was made by {maker} and is of the kind "
            f"{header.model['name']}; {command} trains the kind "
            f"{registry.describe(fresh)['name']}: give such an encoder, or leave --init out"
        )
    return found


def _development(
    settings: PretrainingSettings, stores: Sequence[Store], encoder: Encoder, method: Method
) -> Bucketed | None:
    """Batches of the split development, cropped alike each time; None where none is to be used.

    Without splits, all is for training; and who chose the split knows what is left.
    """
    split = [store for store in stores if "development" in Annotations({}).field(store, "split")]
    if settings.split != "train" or not split:
        return None
    ids = chosen_ids(split, in_split(split, "development"))
    dataset = _dataset(settings, split, ids, encoder, method)
    return Bucketed(dataset, settings.batch_seconds, settings.batch_utterances, settings.seed)


def _score(
    unseen: Bucketed, seed: int, progress: Progress, objective: Objective, kept: Spool | None
) -> dict[str, float]:
    return _of_development(evaluate(objective, unseen, seed, kept, progress))


def _of_development(found: Metrics) -> Metrics:
    return {f"development_{name}": value for name, value in found.items()}


def shortest_s(encoder: Encoder, stream: str, frames: int, rate_hz: float) -> float:
    """Seconds of a stream of so many steps a second from which an encoder makes so many frames,
    rounded up to milliseconds."""
    steps = bisect_left(
        range(LONGEST_STEPS),
        frames,
        key=lambda count: int(encoder.frame_count({stream: torch.tensor([count])})[0]),
    )
    return math.ceil(1000 * steps / rate_hz) / 1000


def _dataset(
    settings: PretrainingSettings,
    stores: Sequence[Store],
    ids: Sequence[str],
    encoder: Encoder,
    method: Method,
    progress: Progress = SILENT,
) -> Dataset:
    """Those of the utterances that can be learned from: others are counted in a warning."""
    streams = chosen_streams(encoder, None, stores)
    if method.beside:
        streams += held_streams(stores, tuple(method.beside))
    dataset = dataset_of(stores, ids, streams, crop_s=settings.crop_seconds, seed=settings.seed)
    usable = frame_counts(encoder, dataset) >= method.fewest_frames
    for stream, fewest in method.beside.items():
        usable &= dataset.steps(stream) >= fewest
    needed = " and ".join(
        f"{shortest_s(encoder, stream, method.fewest_frames, dataset.columns[stream].rate_hz):g} s "
        f"of {stream}"
        for stream in streams
        if stream in encoder.streams
    )
    needed += "".join(f" and {fewest} steps of {s}" for s, fewest in method.beside.items())
    if not usable.any():
        raise DataError(f"{settings.media[0]}: no utterance has {needed}, which this task needs")
    if not usable.all():
        lost = [ids[row] for row in np.flatnonzero(~usable)]
        progress.warn(
            f"{len(lost)} of {len(ids)} utterances are left out, without {needed}: "
            f"{work.some_of(lost)}"
        )
    return dataset.subset(np.flatnonzero(usable))
