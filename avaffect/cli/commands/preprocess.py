"""`avaffect preprocess`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.preprocess import PreprocessSettings


def _call(settings: PreprocessSettings, progress: Progress) -> None:
    from avaffect.recipes.preprocess import preprocess

    preprocess(settings, progress)


command = make_command("preprocess", PreprocessSettings, _call, reads_stdin="manifest")
