"""Defaults of `finetune` that depend on the head, on the trained part of the model, and on the
stores.

All were measured: `python -m benchmarks.defaults`. They are filled in before torch is imported, and
provenance records the values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from avaffect.core import checkpoint_header, headers
from avaffect.core.errors import DataError, UsageError
from avaffect.core.headers import EncoderHeader
from avaffect.core.near import meant
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance
from avaffect.core.streams import FEATURES
from avaffect.data import artifacts
from avaffect.data.labels import Annotations
from avaffect.data.store.reader import Store
from avaffect.models.heads.registry import HEADS, options_of
from avaffect.recipes.downstream.tasks.labels import OF_VOTES, score_names
from avaffect.settings.base import flags_of
from avaffect.settings.baseline_options import UnimodalOptions, check_one_stream
from avaffect.settings.encoder_training import ALPHA, LORA, PROJECTIONS, RANK
from avaffect.settings.feature_stores import RESERVED
from avaffect.settings.finetune import FinetuneSettings
from avaffect.settings.head_options import (
    ATTENTIVE,
    LINEAR,
    MEAN,
    OWN_HEADS,
    WEIGHTED,
    FittedOptions,
)
from avaffect.settings.highlight_options import HighlightOptions
from avaffect.settings.runs import AUTO, NONE
from avaffect.settings.training import check_whole_batches
from avaffect.settings.two_stream_options import TwoStreamOptions, modalities_of

# Steps a second of a head that averages frames, unless labels have more.
STEPS_HZ = 25.0
# The score with a known standard error.
UA = "ua"
# By mode, and whether the head is other than linear, or attentive: epochs, and the fewest steps
# that they must make; small corpora get more epochs.
LENGTHS = {
    ("frozen", False): (50, 4000),
    ("frozen", True): (20, 300),
    ("fine-tuned", False): (5, 300),
    ("fine-tuned", True): (5, 300),
    ("lora", False): (5, 300),
    ("lora", True): (5, 300),
    ("scratch", False): (50, 300),
    ("scratch", True): (50, 300),
}
# Of the head: a linear one on frozen features, which are standardised; any other.
FROZEN_LINEAR_RATE, HEAD_RATE = 1e-2, 1e-3
# Of a trained encoder: at 95 million weights (base), and the highest, of small ones.
LARGE_WEIGHTS = 95e6
ENCODER_RATES = {
    "fine-tuned": (1e-5, 5e-4),
    "lora": (1e-3, 1e-3),
    "scratch": (1e-4, 1e-3),
    "frozen": (1e-5, 1e-5),
}

# Options of training step by step.
STEPWISE = (
    "loss", "epochs", "steps", "least_steps", "accumulate", "augment", "freeze", "learning_rate",
    "head_learning_rate", "schedule", "warmup", "decay", "weight_decay", "betas", "clip",
    "sampler", "label_smoothing", "optimiser", "momentum", "last",
)  # fmt: skip


def completed(
    settings: FinetuneSettings,
    stores: Sequence[Store],
    kinds: Mapping[str, str],
    features: Sequence[Store] = (),
) -> FinetuneSettings:
    """The settings with every default filled in.

    kinds: label -> class, distribution, scalar or trace; features: the stores of --features. Raises
    UsageError for an unknown head and for options that do not suit the head or the labels.
    """
    if settings.head not in HEADS:
        raise UsageError(
            f"--head {settings.head}: unknown; there are {', '.join(HEADS)}"
            f"{meant(settings.head, HEADS)}"
        )
    options = _head_options(settings, stores, features, kinds)
    traces = [name for name, kind in kinds.items() if kind == "trace"]
    if traces and options.get("pooling", MEAN) != MEAN and settings.head in OWN_HEADS:
        raise UsageError(
            f"--pooling {options['pooling']} goes with labels of utterances; {traces[0]} is a trace"
        )
    settings = settings.with_options(options)
    own_loss = getattr(options_of(settings.head), "loss", None)
    if own_loss is not None and not settings.loss:
        settings = replace(settings, loss=(own_loss,))
    if issubclass(options_of(settings.head), FittedOptions):
        return _fitted(settings, stores, kinds)
    linear = _is_linear(settings)
    mode = settings.mode or ("frozen" if settings.encoder is None else "fine-tuned")
    # Recorded as it is done: the option that was given, and no default beside it.
    given = settings.epochs is not None or settings.steps is not None
    epochs, least = (settings.epochs, 0) if given else LENGTHS[mode, not linear]
    if mode == "frozen" and settings.learning_rate not in (None, _encoder_rate(settings, mode)):
        why = "--mode frozen does not train it" if settings.encoder else "there is none"
        raise UsageError(
            f"--learning-rate {settings.learning_rate:g} is that of the encoder, and {why}: "
            "--head-learning-rate is that of the head"
        )
    head_rate = FROZEN_LINEAR_RATE if mode == "frozen" and linear else HEAD_RATE
    _check_streams(settings, kinds)
    head_rate = getattr(options_of(settings.head), "learning_rate", None) or head_rate
    if mode == LORA:
        settings = _with_adapters(settings)
    return replace(
        settings,
        mode=mode,
        epochs=epochs,
        least_steps=least if settings.least_steps is None else settings.least_steps,
        head_learning_rate=settings.head_learning_rate or head_rate,
        learning_rate=settings.learning_rate or _encoder_rate(settings, mode),
        head_penalty=_penalty(settings, mode, kinds),
        select=_selection(settings, kinds),
        folds=_folds(settings, stores),
    )


def last_epoch(settings: FinetuneSettings, made: Provenance) -> tuple[FinetuneSettings, Provenance]:
    """Settings and provenance of --last: those of a training with --select none, which has the same
    weights."""
    assert settings.last is not None
    chosen = replace(settings, output=settings.last, last=None, select=NONE)
    return chosen, {**made, "settings": {**made["settings"], "select": NONE}}


def _is_linear(settings: FinetuneSettings) -> bool:
    """Whether outputs are linear in what is computed of the frames once; of a weighted sum of
    layers nearly so."""
    plain = settings.pooling != ATTENTIVE and not settings.pooled_norm
    return settings.head == LINEAR and plain


def _fitted(
    settings: FinetuneSettings, stores: Sequence[Store], kinds: Mapping[str, str]
) -> FinetuneSettings:
    """Of a head that is fitted at once to one label, on a frozen encoder."""
    head = f"--head {settings.head}"
    if settings.mode not in (None, "frozen"):
        raise UsageError(f"--mode {settings.mode}: {head} is fitted to vectors of a frozen encoder")
    for item in fields(settings):
        if item.name in STEPWISE and getattr(settings, item.name) != item.default:
            raise UsageError(
                f"{flags_of(item)[-1]} is of no use to {head}, which is fitted at once"
            )
    if settings.layers == WEIGHTED:
        raise UsageError(
            f"--layers {WEIGHTED} learns weights step by step; {head} is fitted at once"
        )
    if len(kinds) > 1:
        raise UsageError(f"{head} learns one label: {' and '.join(kinds)} need heads of their own")
    _check_kinds(settings, options_of(settings.head).kinds, kinds)  # type: ignore[attr-defined]
    return replace(
        settings,
        mode="frozen",
        least_steps=0,
        head_penalty=0.0,
        select=_selection(settings, kinds),
        folds=_folds(settings, stores),
    )


def _check_streams(settings: FinetuneSettings, kinds: Mapping[str, str]) -> None:
    """Of heads that read an acoustic and a visual stream, or one of them.

    Raises UsageError without these streams; for labels that a head on two does not learn, and where
    its batches would be divided.
    """
    names = [*([RESERVED] if settings.encoder is not None else []), *settings.feature_names]
    options = options_of(settings.head)
    if issubclass(options, UnimodalOptions):
        check_one_stream(names)
    if issubclass(options, HighlightOptions):
        _check_kinds(settings, options.kinds, kinds)
    if issubclass(options, TwoStreamOptions):
        modalities_of(names)
        _check_kinds(settings, options.kinds, kinds)
        check_whole_batches(settings)


def _check_kinds(
    settings: FinetuneSettings, learned: Sequence[str], kinds: Mapping[str, str]
) -> None:
    for name, kind in kinds.items():
        if kind not in learned:
            raise UsageError(
                f"--head {settings.head} learns a {' or '.join(learned)}; {name} is a {kind}"
            )


def _head_options(
    settings: FinetuneSettings, stores: Sequence[Store], features: Sequence[Store],
    kinds: Mapping[str, str],
) -> dict[str, Any]:  # fmt: skip
    """Every option of the head; a head without frames_per_step has one frame a step."""
    options = {"frames_per_step": 1} | settings.options(options_of(settings.head))
    if options["frames_per_step"] is None:
        options["frames_per_step"] = _frames_per_step(settings, stores, features)
    if options.get("reconstruction_weight", 0.0) is None:
        options["reconstruction_weight"] = 2.0 if set(kinds.values()) & set(OF_VOTES) else 1.0
    return options


def _penalty(settings: FinetuneSettings, mode: str, kinds: Mapping[str, str]) -> float:
    """With the penalty, a linear head on frozen features is logistic regression (of scalars,
    ridge regression): its weights do not depend on the length of the training, once that is long
    enough. With attention it is not convex, and the penalty keeps attention near the mean."""
    traces = [name for name, kind in kinds.items() if kind == "trace"]
    if traces and settings.head_penalty:
        raise UsageError(f"--head-penalty goes with labels of utterances; {traces[0]} is a trace")
    penalised = mode == "frozen" and settings.head == LINEAR and not traces
    return float(penalised) if settings.head_penalty is None else settings.head_penalty


def _encoder_rate(settings: FinetuneSettings, mode: str) -> float:
    """The smaller an encoder, the higher its learning rate."""
    lowest, highest = ENCODER_RATES[mode]
    if settings.encoder is None or mode == "frozen":
        return lowest
    if artifacts.describe(settings.encoder).kind != "checkpoint":
        # Refused later, with a message of its own.
        return lowest
    table = checkpoint_header.tensor_table(settings.encoder)
    weights = sum(math.prod(entry["shape"]) for entry in table.values())
    rate = lowest * LARGE_WEIGHTS / max(weights, 1)
    return float(f"{min(max(rate, lowest), highest):.1g}")


def _with_adapters(settings: FinetuneSettings) -> FinetuneSettings:
    """The settings with rank and alpha of the adapters.

    Raises UsageError where the encoder has no attention to adapt, or none so wide.
    """
    path, rank = settings.encoder, settings.rank or RANK
    assert path is not None
    # What is no checkpoint is refused later, with a message of its own.
    if artifacts.describe(path).kind == "checkpoint":
        ends = tuple(f".{name}.weight" for name in PROJECTIONS)
        table = checkpoint_header.tensor_table(path)
        sizes = [min(table[name]["shape"]) for name in table if name.endswith(ends)]
        if not sizes:
            raise UsageError(
                f"--mode lora: {path} has no projections of queries and values, as it is no "
                "Transformer; --mode fine-tuned trains any encoder"
            )
        if rank > max(sizes):
            raise UsageError(
                f"--rank {rank}: the projections of {path} have rank {max(sizes)} themselves"
            )
    alpha = settings.lora_alpha or ALPHA * rank
    return replace(settings, rank=rank, lora_alpha=alpha)


def _frames_per_step(
    settings: FinetuneSettings, stores: Sequence[Store], features: Sequence[Store]
) -> int:
    """Enough for STEPS_HZ steps a second, or for the rate of the traces."""
    rate = 0.0
    if settings.encoder is not None:
        rate = headers.read(settings.encoder, EncoderHeader).rate_hz
    elif not features:
        features = stores
    streams = [store.streams.get(FEATURES) for store in features]
    rate = max([rate, *(spec.rate_hz or 0.0 for spec in streams if spec is not None)])
    annotations = Annotations.read(settings.annotations, stores)
    specs = [annotations.specs.get(name) for name in settings.label]
    specs += [store.labels.get(name) for store in stores for name in settings.label]
    traced = [s.rate_hz or 0.0 for s in specs if s is not None and s.kind == "trace"]
    return max(1, int(rate / max(STEPS_HZ, *traced, 0.0)))


def _selection(settings: FinetuneSettings, kinds: Mapping[str, str]) -> str:
    """Only ua has a known standard error: scalars and traces keep the best epoch. Of several labels
    the first decides, unless --select names another."""
    scores = score_names(kinds)
    if settings.select is None and issubclass(options_of(settings.head), HighlightOptions):
        return HighlightOptions.select
    if settings.select is None:
        return AUTO if scores[0] == UA else scores[0]
    known = (*scores, "none", *([AUTO] if scores[0] == UA else []))
    if settings.select not in known:
        names = " and ".join(kinds)
        plural = "is" if len(kinds) == 1 else "are"
        raise UsageError(
            f"--select {settings.select}: {names} {plural} scored by {', '.join(known)}"
        )
    return settings.select


# -- folds ----------------------------------------------------------------------------------------


def _folds(settings: FinetuneSettings, stores: Sequence[Store]) -> int | None:
    """--folds as it was given; 0: none. By default the folds of the utterances, where there are no
    splits."""
    if settings.folds is not None:
        return settings.folds or None
    splits, folds = _divided(settings, stores)
    if any(splits) or not _are_folds(folds):
        return None
    return len(set(folds))


def report_folds(
    settings: FinetuneSettings, given: int | None, stores: Sequence[Store], progress: Progress
) -> None:
    """Report that folds are used by default, or that existing folds are not used; warn that all
    utterances are trained on where there are neither splits nor folds. given: --folds, None by
    default."""
    splits, folds = _divided(settings, stores)
    there = sorted(set(folds) - {""})
    if settings.folds is not None and given is None:
        progress.say(
            f"each of the {count_of(settings.folds, 'fold')} is tested in turn, as `avaffect split "
            "--folds` made them; --folds 0 trains one classifier on all"
        )
    elif settings.folds is None and there:
        why = "--folds 0" if given == 0 else "there are splits" if any(splits) else None
        why = why or ("some utterances are in none" if "" in folds else "fewer than 3")
        more = "" if given == 0 or why[0] in "sf" else f"; --folds {len(there)} uses them"
        progress.say(f"the folds of the utterances are not used ({why}){more}")
    if settings.folds is None and not any(splits):
        progress.say(
            "no splits: all utterances are training data, so scores on them are no result; divide "
            "the corpus with `avaffect split`"
        )


def _are_folds(folds: Sequence[str]) -> bool:
    """Whether these are 0 to K - 1, of K folds that can each be the test set."""
    there = set(folds)
    return len(there) >= 3 and there == {str(number) for number in range(len(there))}


def _divided(settings: FinetuneSettings, stores: Sequence[Store]) -> tuple[list[str], list[str]]:
    """Splits and folds of the utterances that have the label; an unknown label is an error of its
    own, later."""
    annotations = Annotations.read(settings.annotations, stores)
    splits, folds = [], []
    for store in stores:
        try:
            names = annotations.names(store, settings.label[0])
        except DataError:
            names = [""] * store.count
        columns = annotations.field(store, "split"), annotations.field(store, "fold")
        for name, split, fold in zip(names, *columns):
            if name is not None:
                splits.append(split)
                folds.append(fold)
    return splits, folds
