"""`avaffect gallery`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.gallery import GallerySettings


def _call(settings: GallerySettings, progress: Progress) -> None:
    from avaffect.recipes.gallery import make_gallery

    make_gallery(settings, progress)


command = make_command("gallery", GallerySettings, _call, reads_stdin="retrieval")
