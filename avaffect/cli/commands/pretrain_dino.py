"""`avaffect pretrain-dino`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.pretrain_dino import PretrainDinoSettings


def _call(settings: PretrainDinoSettings, progress: Progress) -> None:
    from avaffect.recipes.pretrain_dino import pretrain_dino

    pretrain_dino(settings, progress)


command = make_command("pretrain-dino", PretrainDinoSettings, _call)
