"""`finetune`: a head on an encoder, in one run or several."""

from __future__ import annotations

from avaffect.core.nouns import count_of
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import Provenance
from avaffect.core.streams import WAVEFORM
from avaffect.data.dataset import held_streams
from avaffect.data.vectors import check_wanted
from avaffect.recipes.common import publishing, training_run, work
from avaffect.recipes.common.stores import open_stores
from avaffect.recipes.downstream.defaults import completed, last_epoch, report_folds
from avaffect.recipes.downstream.tasks.labels import kinds_of, labels_of
from avaffect.recipes.encoding import choices
from avaffect.settings.feature_stores import parse_features
from avaffect.settings.finetune import FinetuneSettings
from avaffect.settings.head_options import WEIGHTED


def finetune(settings: FinetuneSettings, progress: Progress = SILENT) -> None:
    """Train every run and write the classifier.

    Raises DataError where a test speaker's labels were used in earlier training, or there is
    nothing to learn.
    """
    stores = open_stores(settings.media)
    features = {n: open_stores([p])[0] for n, p in parse_features(settings.features).items()}
    noise, rooms = open_stores(settings.noise_store), open_stores(settings.room_store)
    for recorded in (noise, rooms):
        if recorded:
            held_streams(recorded, [WAVEFORM])
    check_wanted([*features.values()] or stores, settings.vectors)
    given = settings.folds
    kinds = kinds_of(stores, settings)
    settings = completed(settings, stores, kinds, tuple(features.values()))
    made = work.record(
        "finetune",
        settings,
        work.store_inputs("media", stores),
        work.feature_inputs(features),
        work.file_inputs("encoder", [settings.encoder], "encoder"),
        work.store_inputs("noise", noise),
        work.store_inputs("rooms", rooms),
        work.file_inputs("annotations", [settings.annotations], "corpus"),
    )
    choices.check(settings.encoder, settings.layer, settings.layers == WEIGHTED, settings.freeze)
    if training_run.is_done(
        settings, made, progress, f"train {count_of(settings.runs, 'classifier')}"
    ):
        _check_last(settings, made, progress)
        return
    report_folds(settings, given, stores, progress)
    labels = labels_of(stores, settings, progress)
    from avaffect.recipes.downstream import finetuning

    finetuning.run(settings, stores, features, labels, made, progress)


def _check_last(settings: FinetuneSettings, made: Provenance, progress: Progress) -> None:
    """Warn where --last is not there beside an output that is up to date. Raises OutputExistsError
    where it is that of another training."""
    if settings.last is None or settings.dry_run:
        return
    if settings.last.exists():
        publishing.is_done(*last_epoch(settings, made), progress, "")
    else:
        progress.warn(f"{settings.last} is not there, and the last epoch of {settings.output} was "
                      "not kept: train again with --force")  # fmt: skip
