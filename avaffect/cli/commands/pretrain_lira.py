"""`avaffect pretrain-lira`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.pretrain_lira import PretrainLiraSettings


def _call(settings: PretrainLiraSettings, progress: Progress) -> None:
    from avaffect.recipes.pretrain_lira import pretrain_lira

    pretrain_lira(settings, progress)


command = make_command("pretrain-lira", PretrainLiraSettings, _call)
