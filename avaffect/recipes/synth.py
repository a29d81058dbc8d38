"""`synth`: a synthetic corpus of talking faces, or of voices alone."""

from __future__ import annotations

from dataclasses import replace

from avaffect.core.errors import DataError, UsageError
from avaffect.core.progress import SILENT, Progress
from avaffect.data import manifest
from avaffect.recipes.common import publishing, work
from avaffect.recipes.media.rendered import POOL_DOMAIN, holds_anything
from avaffect.settings.synth import SynthSettings

POOL_NEUTRAL = 0.7


def synth(settings: SynthSettings, progress: Progress = SILENT) -> None:
    """Render the utterances and write their manifest.

    Raises UsageError for what cannot be made.
    """
    if settings.jobs == 0:
        raise UsageError("--jobs 0: 1 at least, or -1 for every core")
    emotions = [name.strip() for name in settings.emotions.split(",")]
    is_pool = settings.domain == POOL_DOMAIN
    if settings.neutral_fraction is None and is_pool and "neutral" in emotions:
        settings = replace(settings, neutral_fraction=POOL_NEUTRAL)
    if not settings.dry_run and _is_whole(settings):
        made = work.record("synth", settings, [])
        if publishing.is_done(settings, made, progress, ""):
            return
    from avaffect.recipes.media import rendering

    rendering.run(settings, progress)


def _is_whole(settings: SynthSettings) -> bool:
    """Whether all files are in the folder that the manifest names: known without rendering."""
    output = settings.output
    if output is None or not output.is_file():
        return False
    try:
        found = manifest.read(output, "corpus")
    except DataError:
        return False
    if found.folder.resolve() != settings.folder.resolve():
        return False
    named = [item.get(key) for item in found.items for key in ("media", "traces", "transcript")]
    return all(holds_anything(found.folder / name) for name in named if isinstance(name, str))
