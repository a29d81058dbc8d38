"""`avaffect check`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.errors import DataError
from avaffect.core.progress import Progress
from avaffect.settings.check import CheckSettings


def _call(settings: CheckSettings, progress: Progress) -> None:
    from avaffect.recipes.check import check

    bad = 0
    for path in settings.files:
        try:
            unverified = check(path, settings.parents)
        except DataError as error:
            bad += 1
            progress.warn(str(error))
        else:
            print(f"{path}: ok", flush=True)
            if unverified:
                progress.warn(unverified)
    if bad:
        raise DataError(f"{bad} of {len(settings.files)} files are bad")


command = make_command("check", CheckSettings, _call)
