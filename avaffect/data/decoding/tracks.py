"""Choosing among the tracks of a recording."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from av.stream import Disposition

from avaffect.data.decoding.unusable import Unusable, opened

# Formats whose tracks show by their packets alone: one that begins late is found by looking longer.
LATE_TRACKS = ("mpeg", "mpegts", "flv", "live_flv")
PATIENT = {"analyzeduration": str(10**12), "probesize": str(1 << 26)}
# So many bytes FFmpeg looks at for the next packet before it asks to be called again.
RESYNC_BYTES = 1 << 16
TRIES = 100
# The cover of a song, and previews of chapters, are no film.
STILLS = Disposition.attached_pic | Disposition.timed_thumbnails


@contextmanager
def opened_for(kind: str, path: Path) -> Iterator[Any]:
    """A recording in PyAV, as `opened` gives it, in which a track of a kind is looked for: audio or
    video."""
    with opened(path) as container:
        if container.format.name not in LATE_TRACKS or container.streams.best(kind) is not None:
            yield container
            return
    with opened(path, PATIENT) as container:
        yield container


def demuxed(container: Any, *streams: Any) -> Iterator[Any]:
    """The packets of some tracks. Where FFmpeg finds bytes that belong to no packet, as behind the
    last one of a transport stream, it asks to be called again.

    Raises Unusable where other tracks begin on the way, which PyAV may stumble over at the end.
    """
    for _ in range(max(container.size, 0) // RESYNC_BYTES + TRIES):
        try:
            yield from container.demux(*streams)
            return
        except av.error.BlockingIOError:
            pass
        except IndexError as error:
            what = "other tracks begin on the way (its programme changes): divide it there"
            raise Unusable("damaged", what) from error
    raise Unusable("damaged", "it holds bytes that belong to no packet")


def audio_tracks(container: Any, number: int | None = None) -> list[int]:
    """Numbers, from 0, of the sound tracks that can be decoded: the one that players take, then the
    others in their order; or `number` alone.

    Raises Unusable where there is none.
    """
    tracks = container.streams.audio
    usable = [n for n, stream in enumerate(tracks) if stream.codec_context is not None]
    if number is not None and number not in usable:
        has = "none"
        if tracks:
            has = "track 0 alone" if len(tracks) == 1 else f"tracks 0 to {len(tracks) - 1}"
        cannot = ", which cannot be decoded" if 0 <= number < len(tracks) else ""
        raise Unusable("no sound", f"sound track {number} was asked for{cannot}; it has {has}")
    if not usable:
        raise Unusable("no sound", "it has no audio track that can be decoded")
    best = container.streams.best("audio")
    ordered = sorted(usable, key=lambda n: (tracks[n] is not best, n))
    return ordered if number is None else [number]


def video_track(container: Any) -> Any:
    """The best track of moving pictures.

    Raises Unusable where there is none.
    """
    best = container.streams.best("video")
    for stream in (best, *container.streams.video):
        if stream is None or stream.codec_context is None:
            continue
        if not stream.disposition & STILLS:
            # Processes work on a recording each: threads in the decoder would only cost.
            stream.codec_context.thread_count = 1
            return stream
    raise Unusable("no picture", "it has no video track that can be decoded")
