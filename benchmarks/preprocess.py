"""`python -m benchmarks.preprocess [--quick]`: from films to faces, against other ways.

Clips of a real talking face that is moved over a background: slow pan, fast motion, and two faces,
at 224 x 224 and at 720p. The naive way opens them with OpenCV and runs Haar on every frame at full
size with its default smallest face (measured on some frames, per frame); the limit is decoding
alone. Boxes are held against Haar on every frame. Then the same clips by one process and by two,
in seconds that pass.

The faces come from recordings that are not part of the project: without them it says so.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import av
import cv2
import numpy as np

from avaffect.data.faces.detection import overlap
from avaffect.data.faces.extraction import decode_faces
from avaffect.data.faces.options import ABSENT, COLUMNS, FaceOptions
from avaffect.data.media import DecodingOptions, decode_items
from benchmarks.timing import Row, interleaved, median_ratio, print_rows

RECORDINGS = Path(__file__).resolve().parents[2] / "shared" / "data" / "video_styletalk"
# Films, and where in them (left, top, side) the head is.
HEADS = (("Obama_clip1.mp4", (40, 0, 190)), ("reagan_clip1.mp4", (40, 10, 190)))
FPS = 25
SIZES = {"224": (224, 224), "720p": (1280, 720)}
MOTIONS = ("slow pan", "fast motion", "two faces")


@dataclass(frozen=True)
class Clip:
    name: str
    path: Path
    frames: int
    naive_frames: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short clips, few repetitions")
    quick = parser.parse_args().quick
    if not RECORDINGS.is_dir():
        print(f"Preprocessing\n  skipped: no recordings of faces at {RECORDINGS}")
        return
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frames = 75 if quick else 250
        clips = [
            make_clip(folder, size, motion, frames, quick) for size in SIZES for motion in MOTIONS
        ]
        rows = [row for clip in clips for row in compare(clip, folder, 1 if quick else 5)]
        rows += real_film(folder, 1 if quick else 5)
        rows += processes(clips, folder, 1 if quick else 3, 1 if quick else 10)
    if quick:
        rows = [replace(row, target=None) for row in rows]
    print_rows("Preprocessing", rows)


def make_clip(folder: Path, size: str, motion: str, frames: int, quick: bool) -> Clip:
    path = folder / f"{size}-{motion.replace(' ', '-')}.mp4"
    write_video(path, moving_faces(SIZES[size], motion, frames), SIZES[size])
    few = 6 if size == "224" else 2
    return Clip(f"{size} {motion}", path, frames, 2 if quick else few)


def heads(film: str, part: tuple[int, int, int]) -> Iterator[np.ndarray]:
    left, top, side = part
    with av.open(str(RECORDINGS / film)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")[top : top + side, left : left + side]


def moving_faces(size: tuple[int, int], motion: str, frames: int) -> Iterator[np.ndarray]:
    """Heads that talk, each in a soft oval, over a background with grain."""
    width, height = size
    random = np.random.default_rng(0)
    coarse = random.integers(60, 190, (9, 9, 3)).astype(np.uint8)
    background = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    two = motion == "two faces"
    side = round((0.42 if two else 0.6) * min(size)) // 2 * 2
    yy, xx = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    mask = np.clip((1 - np.hypot(xx, yy)) * 6, 0, 1)[..., None]
    films = [heads(*HEADS[number]) for number in range(1 + two)]
    for number in range(frames):
        picture = background.astype(np.float32)
        for film, (x, y) in zip(films, _places(motion, number / FPS)):
            head = cv2.resize(next(film), (side, side), interpolation=cv2.INTER_AREA)
            left = round((width - side) * x)
            top = round((height - side) * y)
            part = picture[top : top + side, left : left + side]
            part += mask * (head - part)
        grain = random.normal(0, 2, (height, width, 1)).astype(np.float32)
        yield np.clip(picture + grain, 0, 255).astype(np.uint8)


def _places(motion: str, seconds: float) -> list[tuple[float, float]]:
    """Where the heads are, from 0 (left, top) to 1."""
    if motion == "slow pan":
        return [(0.05 + 0.09 * seconds, 0.5)]
    if motion == "fast motion":
        turn = 2 * np.pi * seconds
        return [(0.5 + 0.45 * np.sin(0.9 * turn), 0.5 + 0.3 * np.sin(0.7 * turn))]
    sway = 0.03 * np.sin(2 * np.pi * 0.3 * seconds)
    return [(0.05 + sway, 0.4), (0.95 + sway, 0.6 - sway)]


def write_video(path: Path, pictures: Iterator[np.ndarray], size: tuple[int, int]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def compare(clip: Clip, folder: Path, repetitions: int) -> list[Row]:
    """The toolkit's way against the naive one and against decoding; its boxes against Haar's."""
    tracks: list[np.ndarray] = []

    def ours() -> None:
        found = decode_faces(clip.path, folder / "spool", FaceOptions())
        tracks[:] = [np.fromfile(found.streams["face_track"], "<f4").reshape(-1, len(COLUMNS))]

    ways: dict[str, Callable[[], object]] = {
        "naive": lambda: list(_naive(clip.path, clip.naive_frames)),
        "decode": lambda: _decode(clip.path),
        "ours": ours,
    }
    units = {"naive": clip.naive_frames, "decode": clip.frames, "ours": clip.frames}
    seconds = interleaved(ways, units, repetitions)
    agreement, unseen = _agreement(clip, tracks[0])
    speed = 1 / (FPS * np.median(seconds["ours"]))
    return [
        Row(f"{clip.name}: naive / ours", median_ratio(seconds, "naive", "ours"), 40,
            note=f"{speed:,.0f} times real time"),
        Row(f"{clip.name}: ours / decoding alone", median_ratio(seconds, "ours", "decode"), 2.5,
            at_least=False),
        Row(f"{clip.name}: overlap with Haar on every frame", agreement, 0.9, unit="",
            note=f"median; no face in {unseen} of {clip.frames} frames"),
    ]  # fmt: skip


def real_film(folder: Path, repetitions: int) -> list[Row]:
    """Ours against decoding alone on a film as it was found: 256 x 256, 30 pictures a second."""
    path = RECORDINGS / HEADS[0][0]
    ways = {
        "decode": lambda: _decode(path),
        "ours": lambda: decode_faces(path, folder / "spool", FaceOptions()),
    }
    seconds = interleaved(ways, repetitions=repetitions)
    return [Row("real film of 256: ours / decoding alone", median_ratio(seconds, "ours", "decode"))]


def _naive(path: Path, frames: int) -> Iterator[list[np.ndarray]]:
    """Boxes (centre x, centre y, width, height) of all faces in each of the first frames."""
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    film = cv2.VideoCapture(str(path))
    for _ in range(frames):
        whole, picture = film.read()
        if not whole:
            return
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        boxes = [np.array([x + w / 2, y + h / 2, w, h]) for x, y, w, h in
                 cascade.detectMultiScale(grey)]  # fmt: skip
        for x, y, w, h in boxes:
            left, top = int(x - w / 2), int(y - h / 2)
            cv2.resize(grey[top : top + int(h), left : left + int(w)], (96, 96))
        yield boxes


def _decode(path: Path) -> None:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for _ in container.decode(stream):
            pass


def _agreement(clip: Clip, track: np.ndarray) -> tuple[float, int]:
    """Median overlap with the box of Haar that is nearest, over frames where it finds one; frames
    without a face."""
    boxes = track[:, :4].astype(np.float64)
    boxes[:, :2] += boxes[:, 2:] / 2
    seen = track[:, -1] != ABSENT
    frames = clip.frames if min(SIZES[clip.name.split()[0]]) < 300 else clip.frames // 3
    found = [
        max((overlap(box, face) for face in faces), default=0.0)
        for box, faces, here in zip(boxes, _naive(clip.path, frames), seen)
        if here
    ]
    # Haar overlooks a face now and then: nothing can be said of those frames.
    return float(np.median([value for value in found if value > 0])), int((~seen).sum())


def processes(clips: list[Clip], folder: Path, repetitions: int, copies: int) -> list[Row]:
    """One process against two, in time that passes: both cores have to be free."""
    items = [{"id": str(n), "media": clips[n % len(clips)].path.name}
             for n in range(len(clips) * copies)]  # fmt: skip
    seconds: dict[str, list[float]] = {"one": [], "two": []}
    for _ in range(repetitions):
        for name, jobs in (("one", 1), ("two", 2)):
            # Processes take a second to start, however much there is to do.
            begun = _passed(items[:2], folder, jobs)
            seconds[name].append(_passed([*items[:2], *items], folder, jobs) - begun)
    return [Row("one process / two", median_ratio(seconds, "one", "two"), 1.85,
                note=f"{len(items)} clips, without the start of processes")]  # fmt: skip


def _passed(items: list[dict[str, str]], folder: Path, jobs: int) -> float:
    options = DecodingOptions(audio=False, faces=FaceOptions())
    spool = folder / "spool-of-many"
    spool.mkdir(exist_ok=True)
    start = time.perf_counter()
    for result in decode_items(folder, items, spool, jobs, options):
        for path in getattr(result, "streams", {}).values():
            path.unlink()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
