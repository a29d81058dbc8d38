"""`avaffect pretrain-byol`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.pretrain_byol import PretrainByolSettings


def _call(settings: PretrainByolSettings, progress: Progress) -> None:
    from avaffect.recipes.pretrain_byol import pretrain_byol

    pretrain_byol(settings, progress)


command = make_command("pretrain-byol", PretrainByolSettings, _call)
