"""`avaffect pretrain-odd`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.pretrain_odd import PretrainOddSettings


def _call(settings: PretrainOddSettings, progress: Progress) -> None:
    from avaffect.recipes.pretrain_odd import pretrain_odd

    pretrain_odd(settings, progress)


command = make_command("pretrain-odd", PretrainOddSettings, _call)
