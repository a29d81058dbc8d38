"""`avaffect merge`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.merge import MergeSettings


def _call(settings: MergeSettings, progress: Progress) -> None:
    from avaffect.recipes.merge import merge

    merge(settings, progress)


command = make_command("merge", MergeSettings, _call)
