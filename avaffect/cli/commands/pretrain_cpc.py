"""`avaffect pretrain-cpc`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.pretrain_cpc import PretrainCpcSettings


def _call(settings: PretrainCpcSettings, progress: Progress) -> None:
    from avaffect.recipes.pretrain_cpc import pretrain_cpc

    pretrain_cpc(settings, progress)


command = make_command("pretrain-cpc", PretrainCpcSettings, _call)
