"""Pictures and sound that are mirrored, squeezed, paused, repeated or out of step."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache, partial
from pathlib import Path

import av
import cv2
import numpy as np
from films import MATRICES, set_matrix, write_video
from flashes import LATE, MOMENTS, PAUSED, WHOLE, Parts, beeps, flashes, furthest, write_flashes
from theora import write_theora
from tracks import write_tracks

from avaffect.data.decoding.audio import decode_audio
from avaffect.data.decoding.video import VideoCounts, read_pictures
from avaffect.data.faces.extraction import decode_faces
from avaffect.data.faces.options import FaceOptions
from cases import SHARED, Case, Seen

GRID = "data/video_grid/bbaf2n.mpg"
FRAMES = 20
# Levels of grey by which crops may differ for having been encoded, and scaled, once more.
CLOSE = 4.0
# A cascade moves its boxes by a tenth then: shared area over that of both.
OVERLAP = 0.75


def grid_pictures() -> list[np.ndarray]:
    """(288, 360) grey pictures of a real talking face."""
    with av.open(str(SHARED / GRID)) as container:
        frames = (frame for frame, _ in zip(container.decode(video=0), range(FRAMES)))
        return [frame.to_ndarray(format="gray") for frame in frames]


def faces(path: Path, detector: str) -> tuple[np.ndarray, np.ndarray]:
    """(T, 96, 96) float crops that `preprocess` makes, and the mean box: x, y, width, height."""
    found = decode_faces(path, path.with_suffix(""), FaceOptions(detector=detector, size=96))
    crops = np.fromfile(found.streams["face"], np.uint8).reshape(-1, 96, 96)
    track = np.fromfile(found.streams["face_track"], "<f4").reshape(len(crops), -1)
    return crops.astype(float), track[:, :4].mean(axis=0)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[:2] + one[2:], other[:2] + other[2:])
    shared = float(np.prod(np.maximum(high - low, 0)))
    return shared / float(np.prod(one[2:]) + np.prod(other[2:]) - shared)


def middle_and_box(path: Path) -> tuple[np.ndarray, np.ndarray]:
    return faces(path, "none")[0], faces(path, "haar")[1]


@cache
def of_plain() -> tuple[np.ndarray, np.ndarray]:
    """Of the film as it is."""
    with tempfile.TemporaryDirectory() as folder:
        return middle_and_box(write_video(Path(folder) / "plain.mp4", grid_pictures()))


def compare(folder: Path, change: Callable[[Path, list[np.ndarray]], Path]) -> Seen:
    """The middle of a changed film, and the face that is found, beside those of the plain one."""
    changed = folder / "changed.mp4"
    change(changed, grid_pictures())
    (middle, box), (plain, plain_box) = middle_and_box(changed), of_plain()
    apart = float(np.abs(middle - plain).mean())
    same = overlap(box, plain_box)
    words = f"crops differ by {apart:.1f} grey levels, boxes overlap by {100 * same:.0f} %"
    return Seen(words, apart < CLOSE and same > OVERLAP)


def mirrored(matrix: tuple[int, ...], path: Path, pictures: list[np.ndarray]) -> Path:
    stored = [np.ascontiguousarray(MATRICES[matrix](picture)) for picture in pictures]
    return set_matrix(write_video(path, stored), matrix)


def squeezed(
    aspect: Fraction, matrix: tuple[int, ...], path: Path, pictures: list[np.ndarray]
) -> Path:
    """Stored with pixels that are `aspect` times as wide as high."""
    stored = [np.ascontiguousarray(MATRICES[matrix](picture)) for picture in pictures]
    height, width = stored[0].shape
    size = (2 * round(width / max(aspect, 1) / 2), 2 * round(height / max(1 / aspect, 1) / 2))
    stored = [cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in stored]
    return set_matrix(write_video(path, stored, aspect=aspect), matrix)


MIRRORED = [
    Case("mirrored matrix", " ".join(map(str, matrix)), "as the plain film: < 4, > 75 %",
         partial(compare, change=partial(mirrored, matrix)), GRID)
    for matrix in MATRICES
]  # fmt: skip
SQUEEZED = [
    Case("pixels that are not square", f"{aspect}{turned}", "as the plain film: < 4, > 75 %",
         partial(compare, change=partial(squeezed, Fraction(aspect), matrix)), GRID)
    for aspect, matrix, turned in (
        ("4/3", (1, 0, 0, 1), ""), ("64/45", (1, 0, 0, 1), ""), ("2", (1, 0, 0, 1), ""),
        ("1/2", (1, 0, 0, 1), ""), ("4/3", (0, 1, -1, 0), ", turned"),
    )
]  # fmt: skip


# A track of a codec with long blocks may be this far off; steps of pictures are 0.2 s.
NEAR_S = 0.1


def in_time(path: Path, seen: Sequence[float], heard: Sequence[float]) -> Seen:
    """How far flashes and beeps are from where they belong."""
    flash, beep = furthest(flashes(path), seen), furthest(beeps(path), heard)
    words = f"flashes within {flash:.2f} s, beeps within {beep:.2f} s"
    return Seen(words, flash <= NEAR_S and beep <= NEAR_S)


def shared_in_time(name: str, folder: Path) -> Seen:
    return in_time(SHARED / "cases" / name, MOMENTS, MOMENTS)


def paused(name: str, codecs: tuple[str, str], pictures: Parts, sound: Parts, folder: Path) -> Seen:
    """A track that pauses for 70 s, or begins 76 s late, while the other runs on."""
    path = write_flashes(folder / name, pictures, sound, codecs, fps=25 if name == "a.mpg" else 5)
    seen, heard = (MOMENTS[2:] if parts is LATE else MOMENTS for parts in (pictures, sound))
    return in_time(path, seen, heard)


def drifting(pace: float, folder: Path) -> Seen:
    moments = range(3, 84, 10)
    path = write_flashes(folder / "a.mp4", pace=pace, moments=moments)
    return in_time(path, moments, moments)


def shared_drift(name: str, folder: Path) -> Seen:
    """Flashes and beeps every ten seconds."""
    path = SHARED / "cases/clock-drift" / name
    return in_time(path, range(10, 120, 10), range(10, 120, 10))


# AVI has no stamps: its sound cannot pause.
CONTAINERS = {"a.mp4": ("", ""), "a.mov": ("", ""), "a.mkv": ("", ""), "a.flv": ("flv", ""),
              "a.webm": ("libvpx", "libopus"), "a.ts": ("", ""), "a.avi": ("", "mp2"),
              "a.ogg": ("libvpx", "libopus"), "a.mpg": ("mpeg2video", "mp2")}  # fmt: skip
WAYS: dict[str, tuple[Parts, Parts]] = {
    "pictures pause": (PAUSED, WHOLE), "pictures late": (LATE, WHOLE),
    "sound pauses": (WHOLE, PAUSED), "sound late": (WHOLE, LATE),
}  # fmt: skip
GAPS = [
    Case("gap-over-60s", name, "at 2, 4, 78, 80, 82 s, within 0.1 s",
         partial(shared_in_time, f"gap-over-60s/{name}"), f"cases/gap-over-60s/{name}")
    for name in ("camera_off.mp4", "muted.mp4")
] + [
    Case("gap-over-60s", f"{name[2:]}, {way}", "at 2, 4, 78, 80, 82 s, within 0.1 s",
         partial(paused, name, codecs, pictures, sound))
    for name, codecs in CONTAINERS.items()
    for way, (pictures, sound) in WAYS.items()
    if not (name == "a.avi" and way.startswith("sound"))
]  # fmt: skip
DRIFTS = [
    Case("clock-drift", name, "within 0.1 s", partial(shared_drift, name),
         f"cases/clock-drift/{name}")
    for name in ("rate_0.99.mp4", "rate_0.998.mp4", "rate_1.002.mp4")
] + [
    Case("clock-drift", f"{pace:g} of the samples", "within 0.1 s", partial(drifting, pace))
    for pace in (0.95, 0.998, 1.01, 1.05)
]  # fmt: skip


def several_tracks(levels: tuple[float, ...], track: int | None, folder: Path) -> Seen:
    """A tone of 200 Hz in track 0, of 400 Hz in track 1, ..."""
    path = write_tracks(folder / "a.mkv", levels)
    sink = io.BytesIO()
    sound = decode_audio(path, sink, track=track)
    samples = np.frombuffer(sink.getvalue(), "<i2")[:8000]
    taken = round(np.abs(np.fft.rfft(samples)).argmax() * 2 / 200) - 1
    wanted = next(n for n, level in enumerate(levels) if level) if track is None else track
    said = bool(sound.notes) == (track is None)
    return Seen(f"track {taken}{': ' if sound.notes else ''}{''.join(sound.notes)}",
                taken == wanted and said)  # fmt: skip


TRACKS = [
    Case("first sound track silent", f"levels {levels}{asked}", right,
         partial(several_tracks, levels, track))
    for levels, track, asked, right in (
        ((0.0, 0.5), None, "", "track 1, said"), ((0.5, 0.0), None, "", "track 0, said"),
        ((0.0, 0.0, 0.5), None, "", "track 2, said"),
        ((0.5, 0.5), 1, ", --audio-track 1", "track 1"),
    )
]  # fmt: skip


def repeated(times: int, folder: Path) -> Seen:
    """Each picture is stored once, and shown again by packets of no bytes."""
    stored = [level for level in (20, 220, 20, 220) for level in (level, *[None] * times)]
    film = VideoCounts()
    path = write_theora(folder / "a.ogv", stored)
    shown = [p is not None and p.luma.mean() > 120 for p in read_pictures(path, 25.0, film)]
    right = [level == 220 for level in (20, 220, 20, 220) for _ in range(times + 1)]
    words = f"{sum(a == b for a, b in zip(shown, right))} of {len(shown)} pictures"
    return Seen(f"{words}, {film.damaged} damaged", shown == right and not film.damaged)


REPEATED = [
    Case("Theora that repeats pictures", f"{times} times", f"{4 * times + 4} pictures, 0 damaged",
         partial(repeated, times))
    for times in (1, 3, 75)
]  # fmt: skip

CASES: list[Case] = [*MIRRORED, *SQUEEZED, *GAPS, *DRIFTS, *TRACKS, *REPEATED]
