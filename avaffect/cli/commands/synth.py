"""`avaffect synth`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.synth import SynthSettings


def _call(settings: SynthSettings, progress: Progress) -> None:
    from avaffect.recipes.synth import synth

    synth(settings, progress)


command = make_command("synth", SynthSettings, _call)
