"""`doctor`: whether avaffect works here, and what mends what does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from avaffect.core.progress import SILENT, Progress
from avaffect.recipes.diagnosis import chain, machine, media, packages, place
from avaffect.recipes.diagnosis.findings import Finding
from avaffect.settings.doctor import DoctorSettings


def doctor(settings: DoctorSettings, progress: Progress = SILENT) -> Iterator[Finding]:
    """Look at the machine, the packages, media and models, the current folder and, unless it is
    left out, the whole chain; findings come as they are made."""
    yield from machine.look()
    yield from packages.look()
    yield from media.look(settings.models)
    yield from place.look(Path())
    if not settings.without_test:
        yield from chain.look()
