"""`avaffect adapt`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.launch import launch
from avaffect.core.progress import Progress
from avaffect.settings.adapt import AdaptSettings


def _call(settings: AdaptSettings, progress: Progress) -> None:
    from avaffect.recipes.adapt import adapt

    output = adapt(settings, progress)
    if not launch().follows:
        print(output)


command = make_command("adapt", AdaptSettings, _call, reads_stdin="manifest")
