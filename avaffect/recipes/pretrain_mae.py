"""`pretrain-mae`: contrastive audiovisual masked autoencoding (CAV-MAE, Social-MAE)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from avaffect.core.errors import UsageError
from avaffect.core.progress import SILENT, Progress
from avaffect.recipes.pretraining.start import pretrain
from avaffect.settings.pretrain_mae import PretrainMaeSettings

if TYPE_CHECKING:
    from avaffect.recipes.pretraining.methods import Method


def pretrain_mae(settings: PretrainMaeSettings, progress: Progress = SILENT) -> None:
    """Pre-train (or, with no steps, only initialise) an encoder and write it.

    Raises DataError if there is no recording to learn from, or two are needed and no batch has
    them; UsageError if the picture of --preview cannot be written.
    """
    if settings.preview is not None:
        _check_picture(settings.preview)
    pretrain("pretrain-mae", settings, lambda: _method(settings, progress), progress)


def _check_picture(path: Path) -> None:
    """Raises UsageError if a file cannot be written there, before hours of training."""
    folder = path.parent
    if path.is_dir():
        raise UsageError(f"--preview {path}: this is a folder; name a file in it")
    if not folder.is_dir():
        raise UsageError(f"--preview {path}: no such folder {folder}; make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"--preview {path}: {folder} is not writable; name another place")


def _method(settings: PretrainMaeSettings, progress: Progress) -> Method:
    from avaffect.recipes.pretraining.mae import method

    return method(settings, progress)
