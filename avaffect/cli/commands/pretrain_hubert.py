"""`avaffect pretrain-hubert`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.pretrain_hubert import PretrainHubertSettings


def _call(settings: PretrainHubertSettings, progress: Progress) -> None:
    from avaffect.recipes.pretrain_hubert import pretrain_hubert

    pretrain_hubert(settings, progress)


command = make_command("pretrain-hubert", PretrainHubertSettings, _call)
