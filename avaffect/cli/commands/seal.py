"""`avaffect seal`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.seal import SealSettings


def _call(settings: SealSettings, progress: Progress) -> None:
    from avaffect.recipes.seal import seal

    seal(settings, progress)


command = make_command("seal", SealSettings, _call, reads_stdin="source")
