"""`pretrain-odd`: Audio Odd-One-Out."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from avaffect.core.progress import SILENT, Progress
from avaffect.recipes.pretraining.start import pretrain
from avaffect.settings.pretrain_odd import FEWEST_CLIPS, GROUP, SHARE, PretrainOddSettings

if TYPE_CHECKING:
    from avaffect.recipes.pretraining.methods import Method


def pretrain_odd(settings: PretrainOddSettings, progress: Progress = SILENT) -> None:
    """Pre-train (or, with no steps, only initialise) an encoder and write it.

    Raises DataError where no clip has room for two windows, or no batch has clips to compare.
    """
    pretrain("pretrain-odd", settings, lambda: _method(settings), progress)


def _method(settings: PretrainOddSettings) -> Method:
    from avaffect.models.heads.attentive import Head, HeadConfiguration
    from avaffect.models.recurrent import PRESETS, RecurrentEncoder
    from avaffect.objectives.jumbling import FEWEST_STEPS
    from avaffect.objectives.odd_one_out import Jumbling, OddOneOut
    from avaffect.recipes.pretraining.methods import Method

    by_clip = settings.variant == "clip"
    jumbling = Jumbling(
        settings.variant, settings.share or SHARE, settings.group or GROUP, settings.window
    )
    return Method(
        new_encoder=lambda stores: RecurrentEncoder(PRESETS[settings.preset or "base"]),
        objective=lambda encoder: OddOneOut(
            encoder, Head(HeadConfiguration(encoder.dim, 2 if by_clip else 1)), jumbling
        ),
        head=lambda objective: objective.head,
        loss="odd",
        fewest_frames=FEWEST_STEPS,
        fewest_together=FEWEST_CLIPS if by_clip else jumbling.group,
        pretext={"objective": "odd_one_out", **asdict(jumbling)},
    )
