"""`avaffect pretrain-apc`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.pretrain_apc import PretrainApcSettings


def _call(settings: PretrainApcSettings, progress: Progress) -> None:
    from avaffect.recipes.pretrain_apc import pretrain_apc

    pretrain_apc(settings, progress)


command = make_command("pretrain-apc", PretrainApcSettings, _call)
