"""`pretrain-l1`: speech-driven face reconstruction, with or without Odd-One-Out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from avaffect.core import configuration
from avaffect.core.errors import UsageError
from avaffect.core.progress import SILENT, Progress
from avaffect.recipes.pretraining.start import pretrain
from avaffect.settings.pretrain_l1 import PretrainL1Settings

if TYPE_CHECKING:
    from avaffect.data.dataset import Dataset
    from avaffect.models.encoder import Encoder
    from avaffect.models.talking_face import TalkingFaceConfiguration
    from avaffect.objectives.face_reconstruction import FaceReconstruction
    from avaffect.recipes.pretraining.kept_objective import Kept
    from avaffect.recipes.pretraining.methods import Method


def pretrain_l1(settings: PretrainL1Settings, progress: Progress = SILENT) -> None:
    """Pre-train (or, with no steps, only initialise) an encoder and write it.

    Raises DataError if no clip has both audio and two pictures, UsageError if the videos of
    --preview cannot be written.
    """
    if settings.preview is not None:
        _check_folder(settings.preview)
    pretrain("pretrain-l1", settings, lambda: _method(settings, progress), progress)


def _check_folder(folder: Path) -> None:
    """Raises UsageError if videos cannot be written there."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise UsageError(f"--preview {folder}: {there} is a file; give a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"--preview {folder}: {there} is not writable; give another folder")


def _generator(preset: str, kept: Kept | None) -> TalkingFaceConfiguration:
    """That of the checkpoint that is continued, otherwise the published one, or one for demos and
    tests, as wide for what it has to draw: its first skip connection holds 96 numbers for each
    block of 16 pixels, the published one 128 for 48."""
    from avaffect.models.talking_face import TalkingFaceConfiguration
    from avaffect.objectives.face_reconstruction import FaceReconstructionConfiguration

    if kept is not None and kept.objective.name == "face_reconstruction":
        found = configuration.read(FaceReconstructionConfiguration, kept.objective.configuration)
        return found.face
    if preset == "nano":
        return TalkingFaceConfiguration(height=32, channels=1, width=48)
    return TalkingFaceConfiguration()


def _method(settings: PretrainL1Settings, progress: Progress) -> Method:
    from avaffect.models.recurrent import PRESETS, RecurrentEncoder
    from avaffect.objectives.face_reconstruction import (
        FaceReconstruction,
        FaceReconstructionConfiguration,
    )
    from avaffect.recipes.pretraining.face_preview import write_preview
    from avaffect.recipes.pretraining.methods import Method

    def objective(encoder: Encoder, kept: Kept | None) -> FaceReconstruction:
        face = _generator(settings.preset or "base", kept)
        configuration = FaceReconstructionConfiguration(settings.alpha, settings.pictures, face)
        return FaceReconstruction(encoder, configuration)

    def preview(trained: FaceReconstruction, dataset: Dataset) -> None:
        assert settings.preview is not None
        write_preview(settings.preview, trained, dataset, progress)

    return Method(
        kinds=("recurrent",),
        new_encoder=lambda stores: RecurrentEncoder(PRESETS[settings.preset or "base"]),
        objective=objective,
        finish=None if settings.preview is None else preview,
    )
