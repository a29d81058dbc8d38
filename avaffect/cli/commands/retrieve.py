"""`avaffect retrieve`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.retrieve import RetrieveSettings


def _call(settings: RetrieveSettings, progress: Progress) -> None:
    from avaffect.recipes.retrieve import retrieve

    retrieve(settings, progress)


command = make_command("retrieve", RetrieveSettings, _call)
