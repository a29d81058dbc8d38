"""Prints the path of the adapted encoder: `$(avaffect adapt ...)`."""

from __future__ import annotations

from avaffect.core.launch import launch
from avaffect.core.progress import Progress
from avaffect.settings.adapt import AdaptSettings


def show(settings: AdaptSettings, progress: Progress) -> None:
    from avaffect.recipes.adapt import adapt

    output = adapt(settings, progress)
    if not launch().follows:
        print(output)
