"""Selection of a track of a recording."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from av.stream import Disposition

from avaffect.data.decoding.unusable import MOST_PIXELS, Unusable, opened

# Formats without a list of tracks: a longer probe finds tracks that begin late.
LATE_TRACKS = ("mpeg", "mpegts", "flv", "live_flv")
PATIENT = {"analyzeduration": str(10**12), "probesize": str(1 << 26)}
# Number of bytes that FFmpeg searches for the next packet before it returns.
RESYNC_BYTES = 1 << 16
TRIES = 100
# The cover of a song, and previews of chapters, are not video.
STILLS = Disposition.attached_pic | Disposition.timed_thumbnails


@contextmanager
def opened_for(kind: str, path: Path) -> Iterator[Any]:
    """A recording in PyAV, see `opened`, probed for a track of a kind: audio or video."""
    with opened(path) as container:
        if container.format.name not in LATE_TRACKS or container.streams.best(kind) is not None:
            yield container
            return
    with opened(path, PATIENT) as container:
        yield container


def demuxed(container: Any, *streams: Any) -> Iterator[Any]:
    """The packets of some tracks. If FFmpeg finds bytes that belong to no packet, such as those
    after the last one of a transport stream, it must be called again.

    Raises Unusable if further tracks begin within the recording, which may crash PyAV at the end.
    """
    for _ in range(max(container.size, 0) // RESYNC_BYTES + TRIES):
        try:
            yield from container.demux(*streams)
            return
        except av.error.BlockingIOError:
            pass
        except IndexError as error:
            what = "its tracks change within the recording: divide it there"
            raise Unusable("damaged", what) from error
    raise Unusable("damaged", "it contains bytes that belong to no packet")


def audio_tracks(container: Any, number: int | None = None) -> list[int]:
    """Numbers, from 0, of the audio tracks that can be decoded: the one that players select, then
    the others in their order; or `number` alone.

    Raises Unusable if there is none.
    """
    tracks = container.streams.audio
    usable = [n for n, stream in enumerate(tracks) if stream.codec_context is not None]
    if number is not None and number not in usable:
        has = "none"
        if tracks:
            has = "track 0 alone" if len(tracks) == 1 else f"tracks 0 to {len(tracks) - 1}"
        cannot = ", which cannot be decoded" if 0 <= number < len(tracks) else ""
        raise Unusable("no sound", f"audio track {number} was requested{cannot}; it has {has}")
    if not usable:
        raise Unusable("no sound", "it has no audio track that can be decoded")
    best = container.streams.best("audio")
    ordered = sorted(usable, key=lambda n: (tracks[n] is not best, n))
    return ordered if number is None else [number]


def video_track(container: Any) -> Any:
    """The best video track.

    Raises Unusable if there is none, or its pictures are larger than any.
    """
    best = container.streams.best("video")
    for stream in (best, *container.streams.video):
        if stream is None or stream.codec_context is None:
            continue
        if not stream.disposition & STILLS:
            width, height = stream.codec_context.width, stream.codec_context.height
            if width * height > MOST_PIXELS:
                raise Unusable("unreadable", f"its pictures are {width} x {height} pixels")
            # The pictures themselves may differ from what the container declares.
            stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
            # Each process decodes one recording: threads in the decoder would only cost time.
            stream.codec_context.thread_count = 1
            return stream
    raise Unusable("no picture", "it has no video track that can be decoded")
