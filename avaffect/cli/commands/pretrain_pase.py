"""`avaffect pretrain-pase`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.pretrain_pase import PretrainPaseSettings


def _call(settings: PretrainPaseSettings, progress: Progress) -> None:
    from avaffect.recipes.pretrain_pase import pretrain_pase

    pretrain_pase(settings, progress)


command = make_command("pretrain-pase", PretrainPaseSettings, _call)
