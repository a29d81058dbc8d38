"""Prints `FILE: ok` for every complete and uncorrupted file."""

from __future__ import annotations

from pathlib import Path

from avaffect.core.progress import Progress
from avaffect.core.shown import on_one_line
from avaffect.settings.check import CheckSettings


def show(settings: CheckSettings, progress: Progress) -> None:
    from avaffect.recipes.check import check

    check(settings, progress, _say_sound)


def _say_sound(path: Path) -> None:
    print(on_one_line(f"{path}: ok"), flush=True)
