"""Unusable recordings, distinguished from faults of the machine that reads them."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import av

from avaffect.core import faults
from avaffect.data.decoding.headers import readable

# Reasons that a failing disk would cause too: FFmpeg takes a read error for the end of the file.
OF_BYTES = ("unreadable", "damaged", "truncated", "empty", "no sound", "no picture")

# Formats that name other files or addresses: a stranger's would copy what its reader can open into
# the reader's store. And how texts of them start.
PLAYLISTS = frozenset(
    {"concat", "concatf", "dash", "hls", "imf", "image2", "rtp", "rtsp", "sap", "sdp",
     "tedcaptions", "vobsub", "webm_dash_manifest"}
)  # fmt: skip
# Formats that show any text or file as pictures or sound, devices, and subtitles.
NO_MEDIA = frozenset(
    {"adf", "alsa", "aqtitle", "ass", "bin", "data", "dvbsub", "dvbtxt", "fbdev", "ffmetadata",
     "idf", "jacosub", "kmsgrab", "lavfi", "lrc", "mcc", "microdvd", "mpl2", "mpsub", "oss", "pjs",
     "rcwt", "realtext", "sami", "sbg", "scc", "srt", "stl", "subviewer", "subviewer1", "sup",
     "svg_pipe", "ttml", "tty", "video4linux2,v4l2", "vplayer", "webvtt", "x11grab", "xbin"}
)  # fmt: skip
# The largest pictures that are decoded, 8192 x 8192: a few bytes may declare any size.
MOST_PIXELS = 1 << 26
# Of silence and of missing pictures in gaps of time stamps, for the same reason.
MOST_FILLED_S = 24 * 3600.0
# Below the rate of any voice: a second of such sound becomes many at 16 kHz.
LEAST_SAMPLE_RATE_HZ = 1000
PLAYLIST_STARTS = (b"#EXTM3U", b"ffconcat", b"v=0", b"<?xml", b"<MPD")


class Unusable(Exception):
    """A recording without a usable utterance. reason: a fixed word, by which recordings are
    counted; detail: the observation."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


def check_file(path: Path) -> None:
    """Raises Unusable for a missing or empty file, MachineFault if the system denies access."""
    try:
        size = path.stat().st_size
        is_file = path.is_file()
        if is_file and size:
            with path.open("rb", buffering=0) as stream:
                stream.read(1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Unusable("missing", f"no such file: {path}") from error
    except OSError as error:
        if error.errno in faults.FROM_SYSTEM:
            raise faults.of_file(path, error.errno) from error
        raise Unusable("unreadable", str(error.strerror)) from error
    if not is_file:
        raise Unusable("unreadable", "not a file")
    if size == 0:
        raise Unusable("empty", "the file has no bytes")


@contextlib.contextmanager
def opened(path: Path, options: dict[str, str] | None = None) -> Iterator[Any]:
    """A recording in PyAV; options: FFmpeg's options of its format.

    Within the block, errors of FFmpeg become Unusable, or MachineFault if the machine is at fault.
    Playlists and texts are unusable: nothing but the file itself is opened.
    """
    given = {
        "format_whitelist": _formats(),
        "protocol_whitelist": "file",
        "max_pixels": str(MOST_PIXELS),
        **(options or {}),
    }
    try:
        source = readable(path)
        held = contextlib.nullcontext() if isinstance(source, str) else contextlib.closing(source)
        # Tags are often in other encodings than declared; they are not used.
        with held, av.open(source, metadata_errors="replace", options=given) as container:
            try:
                yield container
            except av.FFmpegError as error:
                check_machine(path, error)
                raise
    except av.FFmpegError as error:
        check_machine(path, error)
        faults.check_reading(path)
        if _is_playlist(path):
            words = "a playlist, which names other files; list those in its place"
            raise Unusable("unreadable", words) from error
        raise Unusable("unreadable", error.strerror or str(error)) from error
    except Unusable as error:
        if error.reason in OF_BYTES:
            faults.check_reading(path)
        raise


@cache
def _formats() -> str:
    """Names of FFmpeg's formats of recordings, as its option takes them."""
    return ",".join(sorted(av.formats_available - PLAYLISTS - NO_MEDIA))


def _is_playlist(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(16).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(PLAYLIST_STARTS)


def check_machine(path: Path | str, error: av.FFmpegError) -> None:
    """Raises MachineFault if an error of FFmpeg cannot be due to the file.

    Call it while the decoder still holds its memory, as the lack of memory ends afterwards. A
    damaged header can request more memory than any machine has.
    """
    if error.errno in faults.ERRORS and error.errno != errno.ENOMEM:
        raise faults.of_file(path, error.errno) from error
    asked = faults.LARGEST_BYTES if error.errno == errno.ENOMEM else faults.LITTLE_BYTES
    if faults.memory_lacks(asked):
        raise faults.of_file(path, errno.ENOMEM) from error
