"""Films that tests make: a drawn face that Haar finds, and files of any rate, format and length."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

SIZE = (160, 120)
FACE = 64
# Stamps are whole milliseconds, so that films may run at any pace.
CLOCK = Fraction(1, 1000)


def face(side: int = FACE, mouth: float = 0.3) -> np.ndarray:
    """(side, side) grey: a face from the front; mouth: how far it is open, 0 to 1."""
    big = 256
    picture = np.full((big, big), 110, np.uint8)
    cv2.ellipse(picture, (128, 128), (92, 122), 0, 0, 360, 205, -1)
    cv2.ellipse(picture, (128, 20), (92, 46), 0, 0, 360, 45, -1)
    for x in (88, 168):
        cv2.ellipse(picture, (x, 104), (30, 17), 0, 0, 360, 130, -1)
        cv2.ellipse(picture, (x, 106), (20, 9), 0, 0, 360, 235, -1)
        cv2.circle(picture, (x, 106), 9, 30, -1)
        cv2.ellipse(picture, (x, 82), (30, 8), 0, 180, 360, 50, 9)
    cv2.ellipse(picture, (128, 140), (12, 32), 0, 0, 360, 225, -1)
    cv2.ellipse(picture, (128, 168), (24, 8), 0, 0, 180, 120, -1)
    cv2.ellipse(picture, (128, 202), (38, 7 + round(18 * mouth)), 0, 0, 360, 70, -1)
    return cv2.resize(
        cv2.GaussianBlur(picture, (9, 9), 0), (side, side), interpolation=cv2.INTER_AREA
    )


def scene(
    places: Sequence[tuple[float, float]] = (), mouths: Sequence[float] = (),
    size: tuple[int, int] = SIZE, side: int = FACE,
) -> np.ndarray:  # fmt: skip
    """(H, W) grey: faces whose left top corners are at `places`, before a plain wall."""
    picture = np.full((size[1], size[0]), 110, np.uint8)
    for number, (x, y) in enumerate(places):
        shown = face(side, mouths[number] if mouths else 0.3)
        x, y = round(x), round(y)
        picture[y : y + side, x : x + side] = shown
    return picture


def talking(
    frames: int, place: tuple[float, float] = (48, 28), step: float = 0.0
) -> list[np.ndarray]:
    """A face that opens and closes its mouth, and moves by `step` pixels a frame."""
    return [
        scene([(place[0] + step * n, place[1])], [0.5 + 0.5 * np.sin(n)]) for n in range(frames)
    ]


def write_video(
    path: Path, pictures: Iterable[np.ndarray], fps: float = 25.0, codec: str = "libx264",
    pix_fmt: str = "yuv420p", times: Sequence[float] | None = None, sound: np.ndarray | None = None,
    options: dict[str, str] | None = None, aspect: Fraction | None = None,
    clock: Fraction = CLOCK,
) -> Path:  # fmt: skip
    """A film of grey (H, W) or RGB (H, W, 3) pictures at steady times, or at `times` in seconds;
    sound: (S,) float32 at 16 kHz; aspect: width of a pixel over its height; clock: unit of the
    time stamps (MPEG-1 and MPEG-2 take those of a television alone)."""
    pictures = list(pictures)
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=round(fps))
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.time_base = stream.codec_context.time_base = clock
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        voice = (
            container.add_stream("aac", rate=16000, layout="mono") if sound is not None else None
        )
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, "gray" if picture.ndim == 2 else "rgb24")
            frame.time_base = clock
            frame.pts = round((times[number] if times else number / fps) / clock)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if voice is not None:
            heard = av.AudioFrame.from_ndarray(sound[None].astype("float32"), "fltp", "mono")
            heard.sample_rate = 16000
            container.mux(voice.encode(heard))
            container.mux(voice.encode(None))
    return path


# Matrices (a, b, c, d) that turn by right angles and mirror, and what stores a picture so that the
# matrix displays it upright: NumPy's functions, for they are not what the project uses.
MATRICES = {
    (1, 0, 0, 1): lambda picture: picture,
    (0, 1, -1, 0): lambda picture: np.rot90(picture, 1),
    (-1, 0, 0, -1): lambda picture: np.rot90(picture, 2),
    (0, -1, 1, 0): lambda picture: np.rot90(picture, -1),
    (-1, 0, 0, 1): np.fliplr,
    (1, 0, 0, -1): np.flipud,
    (0, 1, 1, 0): lambda picture: np.swapaxes(picture, 0, 1),
    (0, -1, -1, 0): lambda picture: np.rot90(np.swapaxes(picture, 0, 1), 2),
}


def set_matrix(path: Path, matrix: Sequence[float]) -> Path:
    """Give an mp4 or mov, whose first track is of pictures, a display matrix (a, b, c, d)."""
    content = bytearray(path.read_bytes())
    a, b, c, d = (round(65536 * value) for value in matrix)
    place = content.index(b"tkhd") + 44
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path
