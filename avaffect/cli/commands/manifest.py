"""`avaffect manifest`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.manifest import ManifestSettings


def _call(settings: ManifestSettings, progress: Progress) -> None:
    from avaffect.recipes.manifest import make_manifest

    make_manifest(settings, progress)


command = make_command("manifest", ManifestSettings, _call)
