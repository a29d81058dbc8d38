"""`pretrain-mae`: contrastive audiovisual masked autoencoding (CAV-MAE, Social-MAE)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avaffect.core.progress import SILENT, Progress
from avaffect.recipes.pretraining.start import pretrain
from avaffect.settings.pretrain_mae import PretrainMaeSettings

if TYPE_CHECKING:
    from avaffect.recipes.pretraining.methods import Method


def pretrain_mae(settings: PretrainMaeSettings, progress: Progress = SILENT) -> None:
    """Pre-train (or, with no steps, only initialise) an encoder and write it.

    Raises DataError if there is no recording to learn from, or two are needed and no batch has
    them.
    """
    pretrain("pretrain-mae", settings, lambda: _method(settings, progress), progress)


def _method(settings: PretrainMaeSettings, progress: Progress) -> Method:
    from avaffect.recipes.pretraining.mae import method

    return method(settings, progress)
