"""Training of `adapt`, started only if there is work to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch

from avaffect.core import seeds
from avaffect.core.claims import state_folder
from avaffect.core.errors import DataError, UsageError
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance
from avaffect.core.streams import UNITS
from avaffect.data.batches import Bucketed, Paired
from avaffect.data.dataset import Dataset, column_of, dataset_of, held_streams
from avaffect.data.manifest import Manifest
from avaffect.data.store.reader import Store
from avaffect.models.encoder import Encoder
from avaffect.models.heads.dense import Head, HeadConfiguration
from avaffect.objectives.base import Needs, Pretraining
from avaffect.objectives.combined import ENCODER, HEADS, Combined
from avaffect.objectives.semi_supervised import CDAC, FixMatch, SemiSupervised
from avaffect.objectives.weak_and_strong import Views
from avaffect.recipes.common import training_run
from avaffect.recipes.common.lineage import Lineage
from avaffect.recipes.encoding import checkpoints
from avaffect.recipes.encoding.input_streams import chosen_streams
from avaffect.recipes.pretraining.adaptation_units import unit_stores, write_units
from avaffect.recipes.pretraining.kept_objective import load_objective
from avaffect.recipes.pretraining.retrieval_manifest import Drawn, save_manifest
from avaffect.recipes.pretraining.utterances import check_together, usable
from avaffect.settings import adaptation_methods as names
from avaffect.settings.adapt import AdaptSettings
from avaffect.settings.adaptation_methods import CONFIDENCE
from avaffect.training.device import make_fabric
from avaffect.training.loop import train
from avaffect.training.run import Outcome, Run

if TYPE_CHECKING:
    from lightning_fabric import Fabric

# SAAML: the emotion and domain classifiers are {100, classes} and {100, 2}.
HIDDEN = 100
Number = TypeVar("Number", int, float)
# Losses and metrics that are told at the end, with their names there.
SUMMARISED = (
    ("emotion", "L_EC"), ("domain", "L_DC"), ("clustering", "clustering"),
    ("pseudo_label", "pseudo-labels"), ("consistency", "consistency"), ("confident", "confident"),
)  # fmt: skip


def run(
    settings: AdaptSettings, manifest: Manifest, drawn: Drawn, lineage: Lineage, made: Provenance,
    progress: Progress,
) -> None:  # fmt: skip
    """Adapt the encoder behind a retrieval manifest and write it."""
    fabric = make_fabric(settings.device, settings.precision)
    with training_run.running(settings, made, fabric, progress, settings.seed) as opened:
        if opened is None:
            return
        if fabric.global_rank == 0:
            save_manifest(manifest, state_folder(settings.output))
        _adapt(settings, drawn, lineage, made, opened, fabric, progress)


def _adapt(
    settings: AdaptSettings, drawn: Drawn, lineage: Lineage, made: Provenance, opened: Run,
    fabric: Fabric, progress: Progress,
) -> None:  # fmt: skip
    if fabric.global_rank == 0 and lineage.quantiser is not None:
        write_units(opened, lineage.quantiser, lineage, drawn, settings, progress)
    fabric.barrier()
    units = unit_stores(settings, lineage)
    pretraining, encoder = _pretrained(settings, lineage, units)
    batches = _batches(settings, lineage, drawn, encoder, pretraining, units, progress)
    held = held_streams([*lineage.query_media, *lineage.pool_media], encoder.streams)
    objective = _objective(settings, drawn, encoder, pretraining, held)
    retrieved = (
        f"{len(drawn.pool)} distinct retrieved utterances, "
        f"{count_of(drawn.pairs.shape[1], 'draw')}, "
    )
    progress.say(
        f"{count_of(len(drawn.queries), 'query')}, "
        f"{retrieved if isinstance(batches, Paired) else ''}"
        f"{count_of(len(batches.plan(0)), 'batch')} an epoch"
    )
    outcome = train(objective, batches, settings, opened, fabric, progress)
    wrong = objective.collapse(outcome.last)
    if wrong is not None:
        progress.warn(wrong)
    if outcome.last.get("confident") == 0:
        least = CONFIDENCE if settings.confidence is None else settings.confidence
        progress.warn(
            f"at the end no retrieved utterance had a class of probability {least:g} or more: "
            f"--method {settings.method} trained without pseudo-labels; train longer, or lower "
            "--confidence"
        )
    if fabric.global_rank == 0:
        opened.check()
        _save(settings, objective, outcome, lineage, drawn, made)
        loss = None if pretraining is None else pretraining.loss
        progress.say(_summary(settings.output, outcome.first, outcome.last, loss))


def _save(
    settings: AdaptSettings,
    objective: Combined,
    outcome: Outcome,
    lineage: Lineage,
    drawn: Drawn,
    made: Provenance,
) -> None:
    # Without a pool nothing was chosen or learned by labels.
    labelled = "pool" in settings.roles
    checkpoints.save_encoder(
        settings.output,
        objective.encoder,
        objective.pretraining,
        {"emotion_classifier": objective.emotion, "domain_classifier": objective.domain},
        provenance=made,
        labels={drawn.label: tuple(drawn.classes)} if labelled else {},
        metrics={"first": outcome.first, "last": outcome.last},
        labelled_speakers=tuple(
            sorted({*lineage.labelled_speakers, *(drawn.speakers if labelled else ())})
        ),
    )


def _pretrained(
    settings: AdaptSettings, lineage: Lineage, units: dict[str, list[Store]]
) -> tuple[Pretraining | None, Encoder]:
    """The objective of the encoder's pre-training, None where L_PT is left out, and the encoder."""
    if "pt" not in settings.terms:
        return None, checkpoints.load_encoder(lineage.encoder, torch.device("cpu"))[0]
    made = units["query"][0].streams[UNITS].made if units["query"] else None
    objective = load_objective(lineage.encoder, settings.otherwise, made)
    return objective, objective.encoder


def _batches(
    settings: AdaptSettings, lineage: Lineage, drawn: Drawn, encoder: Encoder,
    pretraining: Pretraining | None, units: dict[str, list[Store]], progress: Progress,
) -> Paired | Bucketed:  # fmt: skip
    # Checked over both roles: their streams share batches.
    both = [*lineage.query_media, *lineage.pool_media]
    chosen_streams(encoder, None, both, progress)
    needs = Needs() if pretraining is None else pretraining.needs
    beside = tuple(name for name in needs.streams if name not in encoder.streams)

    def dataset(role: str) -> Dataset:
        media = lineage.media(role)
        stores = [*media, *units[role]]
        held = held_streams(media, encoder.streams)
        for name in beside:
            _check_there(name, stores, lineage.encoder, settings.otherwise)
            column_of([*both, *units[role]], [], name)
        found = dataset_of(
            media, drawn.ids(role), (*held, *beside), others=units[role],
            crop_s=settings.crop_seconds, seed=settings.seed, sampling=encoder.sampling,
        )  # fmt: skip
        if pretraining is not None and not usable(encoder, found, needs).any():
            raise DataError(
                f"no utterance of the {role} in {_names(stores)} is long enough for the "
                f"pre-training of {lineage.encoder}, or has all that it reads: use others, or "
                f"{settings.otherwise}"
            )
        return found

    queries = dataset("query")
    limits = (settings.batch_seconds, settings.batch_utterances, settings.seed)
    batches: Paired | Bucketed
    if "pool" in settings.roles:
        queries.labels[drawn.label] = drawn.targets
        batches = Paired(queries, dataset("pool"), drawn.pairs, *limits)
    else:
        batches = Bucketed(queries, *limits)
    check_together(batches.plan(0), needs.together, of_each=len(settings.roles))
    return batches


def _check_there(stream: str, stores: list[Store], encoder: Path, otherwise: str) -> None:
    """Raises DataError where no store has a stream that the pre-training reads."""
    if not any(stream in store.streams for store in stores):
        raise DataError(
            f"{_names(stores)}: no stream {stream!r}, which the pre-training of {encoder} reads; "
            f"preprocess these recordings so that it is there, or {otherwise}"
        )


def _names(stores: list[Store]) -> str:
    return " and ".join(str(store.path) for store in stores)


def _objective(
    settings: AdaptSettings, drawn: Drawn, encoder: Encoder, pretraining: Pretraining | None,
    streams: Sequence[str],
) -> Combined:  # fmt: skip
    torch.manual_seed(seeds.derive(settings.seed, "initialise"))
    emotion = Head(HeadConfiguration(encoder.dim, len(drawn.classes), HIDDEN))
    domain = Head(HeadConfiguration(encoder.dim, 2, HIDDEN))
    return Combined(
        encoder,
        drawn.label,
        emotion=emotion if "ec" in settings.terms else None,
        domain=domain if "dc" in settings.terms else None,
        pretraining=pretraining,
        weights={
            "emotion": settings.emotion_weight,
            "domain": settings.domain_weight,
            "pretraining": settings.pretraining_weight,
        },
        learning_rates={
            ENCODER: settings.learning_rate,
            HEADS: settings.head_learning_rate,
        },
        layer=settings.layer,
        modality_dropout=settings.modality_dropout,
        unlabelled=_unlabelled(settings, encoder, streams),
    )


def _unlabelled(
    settings: AdaptSettings, encoder: Encoder, streams: Sequence[str]
) -> SemiSupervised | None:
    """What learns from retrieved utterances in place of their pseudo-labels."""
    if not settings.semi_supervised:
        return None
    views = Views.of(encoder, streams)
    confidence = _or(settings.confidence, names.CONFIDENCE)
    weight = _or(settings.pseudo_label_weight, names.PSEUDO_LABEL_WEIGHT)
    if settings.method == names.FIXMATCH:
        return FixMatch(views, confidence, weight)
    ranked = _or(settings.ranked, names.RANKED)
    if ranked > encoder.dim:
        raise UsageError(f"--ranked {ranked}: the encoder has {count_of(encoder.dim, 'feature')}")
    return CDAC(
        views,
        confidence,
        weight,
        _or(settings.clustering_weight, names.CLUSTERING_WEIGHT),
        ranked,
        _or(settings.consistency_weight, names.CONSISTENCY_WEIGHT),
        _or(settings.consistency_ramp, names.CONSISTENCY_RAMP),
    )


def _or(given: Number | None, default: Number) -> Number:
    return default if given is None else given


def _summary(
    output: Path, first: dict[str, float], last: dict[str, float], pretraining: str | None
) -> str:
    words = [
        f"{word} {first[name]:.3f} to {last[name]:.3f}"
        for name, word in (*SUMMARISED, (pretraining, "L_PT"))
        if name in first and name in last
    ]
    return f"{output}: " + ", ".join(words)
