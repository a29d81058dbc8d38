"""`pretrain-odd`: Audio Odd-One-Out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avaffect.core.progress import SILENT, Progress
from avaffect.recipes.pretraining.start import pretrain
from avaffect.settings.pretrain_odd import GROUP, SHARE, PretrainOddSettings

if TYPE_CHECKING:
    from avaffect.recipes.pretraining.methods import Method


def pretrain_odd(settings: PretrainOddSettings, progress: Progress = SILENT) -> None:
    """Pre-train (or, with no steps, only initialise) an encoder and write it.

    Raises DataError where no clip has room for two windows, or no batch has clips to compare.
    """
    pretrain("pretrain-odd", settings, lambda: _method(settings), progress)


def _method(settings: PretrainOddSettings) -> Method:
    from avaffect.models.recurrent import PRESETS, RecurrentEncoder
    from avaffect.objectives.odd_one_out import OddOneOut, OddOneOutConfiguration
    from avaffect.recipes.pretraining.methods import Method

    configuration = OddOneOutConfiguration(
        settings.variant, settings.share or SHARE, settings.group or GROUP, settings.window
    )
    return Method(
        kinds=("recurrent",),
        new_encoder=lambda stores: RecurrentEncoder(PRESETS[settings.preset or "base"]),
        objective=lambda encoder, kept: OddOneOut(encoder, configuration),
    )
