"""`avaffect pretrain-l1`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.pretrain_l1 import PretrainL1Settings


def _call(settings: PretrainL1Settings, progress: Progress) -> None:
    from avaffect.recipes.pretrain_l1 import pretrain_l1

    pretrain_l1(settings, progress)


command = make_command("pretrain-l1", PretrainL1Settings, _call)
