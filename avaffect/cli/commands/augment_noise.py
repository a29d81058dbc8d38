"""`avaffect augment-noise`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.augment_noise import AugmentNoiseSettings


def _call(settings: AugmentNoiseSettings, progress: Progress) -> None:
    from avaffect.recipes.augment_noise import augment_noise

    augment_noise(settings, progress)


command = make_command("augment-noise", AugmentNoiseSettings, _call)
