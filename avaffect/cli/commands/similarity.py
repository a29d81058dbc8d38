"""`avaffect similarity`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.similarity import SimilaritySettings


def _call(settings: SimilaritySettings, progress: Progress) -> None:
    from avaffect.recipes.similarity import similarity

    similarity(settings, progress)


command = make_command("similarity", SimilaritySettings, _call)
