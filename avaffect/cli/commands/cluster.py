"""`avaffect cluster`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.cluster import ClusterSettings


def _call(settings: ClusterSettings, progress: Progress) -> None:
    from avaffect.recipes.cluster import cluster

    cluster(settings, progress)


command = make_command("cluster", ClusterSettings, _call)
