"""`avaffect finetune`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.finetune import FinetuneSettings


def _call(settings: FinetuneSettings, progress: Progress) -> None:
    from avaffect.recipes.finetune import finetune

    finetune(settings, progress)


command = make_command("finetune", FinetuneSettings, _call)
