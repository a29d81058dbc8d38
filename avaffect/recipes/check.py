"""`check`: verify that artifacts are complete and uncorrupted, and that their inputs exist."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from avaffect.core.errors import DataError, MachineFault
from avaffect.core.nouns import count_of
from avaffect.core.progress import SILENT, Progress
from avaffect.recipes.common import verification
from avaffect.settings.check import CheckSettings
from avaffect.training.state import METRICS_SUFFIX


def check(
    settings: CheckSettings,
    progress: Progress = SILENT,
    sound: Callable[[Path], None] = lambda path: None,
) -> None:
    """Verify each file from its bytes; with `parents`, that its inputs can be found too. Metrics
    files of trainings, which *.jsonl matches, are left out beside others.

    sound: called with each file that is whole. Raises DataError where any is not, after a warning
    for each; where none is damaged and some cannot be read, the fault of the machine.
    """
    bad = faults = 0
    fault: MachineFault | None = None
    files = [path for path in settings.files if not path.name.endswith(METRICS_SUFFIX)]
    if files and len(files) < len(settings.files):
        progress.say(
            f"{count_of(len(settings.files) - len(files), 'metrics file')} of trainings left out"
        )
    files = files or list(settings.files)
    for path in files:
        try:
            unverified = verification.verify(path, settings.parents, progress)
        except (DataError, MachineFault) as error:
            bad += 1
            if isinstance(error, MachineFault):
                faults, fault = faults + 1, error
            progress.warn(str(error))
            continue
        sound(path)
        if unverified:
            progress.warn(unverified)
    if fault is not None and bad == faults:
        raise fault
    if bad:
        raise DataError(f"{bad} of {count_of(len(files), 'file is', 'files are')} bad")
    progress.say(f"{len(files)} of {count_of(len(files), 'file is', 'files are')} whole")
