"""`avaffect train-projector`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.train_projector import TrainProjectorSettings


def _call(settings: TrainProjectorSettings, progress: Progress) -> None:
    from avaffect.recipes.train_projector import train_projector

    train_projector(settings, progress)


command = make_command("train-projector", TrainProjectorSettings, _call)
