"""Pictures that a packet says to show again stand on; nothing of them is damaged or absent."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from films import write_video
from theora import write_theora

from avaffect.data.decoding.unusable import Unusable
from avaffect.data.decoding.video import VideoCounts, read_pictures

CLOCK = Fraction(1, 25)
AGAIN: list[int | None] = [None]


def levels(path: Path, film: VideoCounts, fps: float = 25.0, **part: float) -> list[int | None]:
    """Brightness of the output frames, to the nearest 20; None where there is no picture."""
    return [
        None if p is None else 20 * round(float(p.grey(p.luma).mean()) / 20)
        for p in read_pictures(path, fps, film, **part)
    ]


def write_not_coded(path: Path, shown: Sequence[int | None]) -> Path:
    """MPEG-4 at 25 pictures a second, whose frames are not coded where `shown` is None."""
    with av.open(str(path), "w") as container:
        film = container.add_stream("mpeg4", rate=25)
        film.width = film.height = 32
        film.pix_fmt = "yuv420p"
        film.codec_context.gop_size = 1000
        last = 0
        for number, level in enumerate(shown):
            last = last if level is None else level
            planes = np.full((48, 32), 128, np.uint8)
            planes[:32] = last * 219 // 255 + 16
            frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
            frame.pts = number
            for packet in film.encode(frame):
                if level is None:
                    # A P-frame at this time of the second, with a bit that says: not coded.
                    bits = "01" + "0" + "1" + f"{number % 25:05b}" + "1" + "0"
                    data = b"\0\0\1\xb6" + int(f"{bits:0<16}", 2).to_bytes(2, "big")
                    changed = av.Packet(data)
                    changed.pts, changed.dts, changed.time_base = (
                        packet.pts, packet.dts, packet.time_base)  # fmt: skip
                    changed.stream = film
                    packet = changed
                container.mux(packet)
        container.mux(film.encode(None))
    return path


def test_theora_repeats_pictures_in_packets_without_bytes(tmp_path: Path) -> None:
    """For one, for three seconds, and at the end."""
    stored = [20, 20, *AGAIN, 220, *AGAIN * 75, 20, *AGAIN * 3, 220, *AGAIN * 4]
    path = write_theora(tmp_path / "a.ogv", stored)
    film = VideoCounts()
    shown = levels(path, film)
    assert shown == [0, 0, 0, *[240] * 76, *[0] * 4, *[240] * 5]
    assert film.damaged == film.dropped == 0
    assert film.duplicated == len(shown) - 5


@pytest.mark.parametrize(("fps", "frames"), [(12.5, 30), (50.0, 120)])
def test_repeated_pictures_are_followed_at_any_rate(
    tmp_path: Path, fps: float, frames: int
) -> None:
    stored = [220 if n % 20 == 0 else 20 if n % 20 == 10 else None for n in range(60)]
    film = VideoCounts()
    shown = levels(write_theora(tmp_path / "a.ogv", stored), film, fps)
    assert len(shown) == frames and None not in shown
    expected = [240 if int(n / fps * 25) % 20 < 10 else 0 for n in range(frames)]
    assert sum(a != b for a, b in zip(shown, expected)) <= 6 * (fps > 25)
    assert film.damaged == 0


def test_a_part_that_begins_among_repeated_pictures(tmp_path: Path) -> None:
    path = write_theora(tmp_path / "a.ogv", [220, *AGAIN * 249, 20, *AGAIN * 99])
    assert levels(path, VideoCounts(), start_s=8.0, end_s=11.0) == [*[240] * 50, *[0] * 25]
    assert levels(path, VideoCounts(), start_s=6.0, end_s=7.0) == [240] * 25


def test_theora_that_holds_nothing_but_repeats_is_empty(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"empty|unreadable"):
        levels(write_theora(tmp_path / "a.ogv", AGAIN * 50), VideoCounts())


@pytest.mark.parametrize("name", ["a.avi", "a.mkv", "a.mp4"])
def test_frames_that_are_not_coded_repeat_the_picture(tmp_path: Path, name: str) -> None:
    stored = [0, 0, *AGAIN, 220, *AGAIN * 75, 0, *AGAIN * 3]
    film = VideoCounts()
    shown = levels(write_not_coded(tmp_path / name, stored), film)
    assert shown == [0, 0, 0, *[220] * 76, *[0] * 4]
    assert film.damaged == 0


@pytest.mark.parametrize(("gap", "stands"), [(2.0, True), (70.0, False)])
def test_empty_chunks_of_avi_repeat_the_picture(tmp_path: Path, gap: float, stands: bool) -> None:
    """FFmpeg writes them where time stamps jump, and reads them as a jump."""
    times = [0.04 * n + (gap if n >= 10 else 0.0) for n in range(20)]
    pictures = [np.full((32, 32), 20 if n < 10 else 220, np.uint8) for n in range(20)]
    path = write_video(tmp_path / "a.avi", pictures, codec="mpeg4", times=times, clock=CLOCK)
    shown = levels(path, VideoCounts())
    assert (shown == [20] * (10 + round(gap * 25)) + [220] * 10) == stands
