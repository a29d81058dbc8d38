"""`avaffect adapt`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.cli.command import is_follower
from avaffect.core.progress import Progress
from avaffect.settings.adapt import AdaptSettings


def _call(settings: AdaptSettings, progress: Progress) -> None:
    from avaffect.recipes.adapt import adapt

    output = adapt(settings, progress)
    if not is_follower():
        print(output)


command = make_command("adapt", AdaptSettings, _call, reads_stdin="manifest")
