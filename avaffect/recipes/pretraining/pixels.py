"""Pixel statistics of the corpora, for a new visual or audiovisual encoder."""

from __future__ import annotations

from collections.abc import Sequence

from avaffect.core.progress import Progress
from avaffect.core.streams import FACE
from avaffect.data.store.reader import Store
from avaffect.data.store.statistics import combined, in_channels


def face_statistics(
    stores: Sequence[Store],
    channels: int,
    progress: Progress,
    otherwise: str = "AV-HuBERT's mouth crops",
) -> tuple[tuple[float, ...], ...] | None:
    """(mean, std) of pixel / 255, by channel, of the faces of all stores together.

    None, and a warning that those `otherwise` are used, where no store with faces has them.
    """
    if not any(FACE in store.streams for store in stores):
        return None
    found = combined(s.streams[FACE].statistics for s in stores if FACE in s.streams)
    if found is None:
        progress.warn(f"no store has pixel statistics of its faces: those of {otherwise} are used")
        return None
    return in_channels(found, channels)
