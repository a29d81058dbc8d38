"""First step of every pre-training command: decide whether there is work to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from avaffect.core.progress import SILENT, Progress
from avaffect.data.dataset import unique_ids
from avaffect.recipes.common import training_run, work
from avaffect.recipes.common.stores import open_stores
from avaffect.settings.pretraining import PretrainingSettings

if TYPE_CHECKING:
    from avaffect.recipes.pretraining.methods import Method

DEFAULT_EPOCHS = 50


def pretrain(
    command: str,
    settings: PretrainingSettings,
    method: Callable[[], Method],
    progress: Progress = SILENT,
    inputs: Sequence[work.Input] = (),
) -> None:
    """Pre-train (or, with no steps, only initialise) an encoder and write it.

    inputs: those beside the media, as provenance records them. `method` returns the method of
    training; it is called, and torch imported, where there is work to do. Raises DataError where
    the recordings give nothing to learn from, or --init is no such encoder.
    """
    if settings.epochs is None and settings.steps is None:
        settings = replace(settings, epochs=DEFAULT_EPOCHS)
    stores = open_stores(settings.media)
    unique_ids(stores)
    made = work.record(
        command,
        settings,
        work.store_inputs("media", stores),
        inputs,
        work.file_inputs("init", [settings.init], "encoder"),
        work.file_inputs("only", [settings.only], "corpus"),
    )
    done = training_run.is_done(settings, made, progress, "pre-train an encoder")
    if done and (settings.dry_run or getattr(settings, "preview", None) is None):
        return
    from avaffect.recipes.pretraining import methods

    if done:
        methods.finish_again(settings, method(), stores, progress)
    else:
        methods.run(settings, method(), stores, made, progress)
