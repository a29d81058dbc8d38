"""Pictures at a steady rate from films of any rate, format and state."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from films import write_video

from avaffect.data.decoding.clock import PictureClock
from avaffect.data.decoding.unusable import Unusable
from avaffect.data.decoding.video import VideoCounts, read_pictures

LEVEL = 5


def flat(count: int, size: tuple[int, int] = (32, 32)) -> list[np.ndarray]:
    """Pictures that bear their number as their brightness."""
    return [np.full(size, 20 + LEVEL * (n % 40), np.uint8) for n in range(count)]


def numbers(path: Path, film: VideoCounts, fps: float = 25.0, **part: float) -> list[int | None]:
    """The source frames (modulo 40) that the output frames show."""
    return [
        None if p is None else round((float(p.grey(p.luma).mean()) - 20) / LEVEL)
        for p in read_pictures(path, fps, film, **part)
    ]


def nearest(times: list[float], frames: int, fps: float = 25.0) -> list[int]:
    return [int(np.argmin([abs(t - n / fps) for t in times])) % 40 for n in range(frames)]


@pytest.mark.parametrize("rate", [10, 24, 25, 30, 60])
def test_each_output_frame_shows_the_nearest_source_frame(tmp_path: Path, rate: int) -> None:
    path = write_video(tmp_path / "a.mp4", flat(2 * rate), fps=rate)
    film = VideoCounts()
    shown = numbers(path, film)
    # Halfway between two frames either may be shown; stamps are whole milliseconds.
    times = [round(1000 * n / rate) / 1000 for n in range(2 * rate)]
    for number, source in enumerate(shown):
        distances = {abs(t - number / 25) for n, t in enumerate(times) if n % 40 == source}
        assert min(distances) <= min(abs(t - number / 25) for t in times) + 0.002
    assert len(shown) == film.shown == 50
    fresh = 50 if rate > 25 else 2 * rate
    assert film.duplicated == 50 - fresh and film.dropped == max(2 * rate - 50, 0)


def test_a_variable_rate_is_followed_and_gaps_have_no_picture(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    times = np.cumsum(random.uniform(0.01, 0.3, 30)).round(3).tolist()
    path = write_video(tmp_path / "a.mkv", flat(30), times=times)
    with av.open(str(path)) as container:
        start = container.start_time / av.time_base
    shown = numbers(path, VideoCounts())
    assert shown[:-1] == nearest([t - start for t in times], len(shown))[:-1]
    # Two seconds without a frame: half a second at each end shows what is near.
    times = [0.04 * n + (2.0 if n >= 10 else 0.0) for n in range(20)]
    film = VideoCounts()
    shown = numbers(write_video(tmp_path / "b.mkv", flat(20), times=times), film)
    assert shown == [*range(10), *[9] * 12, *[None] * 26, *[10] * 12, *range(10, 20)]
    assert film.dropped == 0 and film.duplicated == 24
    # A clock that jumps by a minute and more is broken: nothing is missing there.
    times = [0.04 * n + (100.0 if n >= 10 else 0.0) for n in range(20)]
    for name in ("c.mkv", "c.mp4"):
        path = write_video(tmp_path / name, flat(20), times=times)
        # Nor is the mean rate that a container declares of any use then.
        assert numbers(path, VideoCounts()) == [*range(20)]


def test_stamps_that_run_back_or_are_missing_go_on_in_time() -> None:
    clock = PictureClock(1.0, 0.04)
    stamps = [1.0, 1.04, 1.03, 1.12, 0.5, None, 0.58, 99.0]
    times = [clock.place(stamp) for stamp in stamps]
    np.testing.assert_allclose(times, [0, 0.04, 0.04, 0.12, 0.16, 0.2, 0.24, 0.28])
    assert clock.end_s == pytest.approx(0.32)


@pytest.mark.parametrize("start", [0.0, 0.42, 7.0])
def test_a_part_shows_what_the_whole_does_there(tmp_path: Path, start: float) -> None:
    path = write_video(tmp_path / "a.mp4", flat(225), options={"g": "30"})
    whole, film = numbers(path, VideoCounts()), VideoCounts()
    first = round(start * 25)
    shown = numbers(path, film, start_s=first / 25, end_s=start + 1.2)
    assert shown == whole[first : first + len(shown)]
    assert len(shown) == film.shown == pytest.approx(30, abs=1)
    assert numbers(path, VideoCounts(), start_s=8.0) == whole[200:]
    for part in ({"start_s": 9.5}, {"start_s": 8.0, "end_s": 10.0}):
        with pytest.raises(Unusable, match="outside"):
            numbers(path, VideoCounts(), **part)
    with pytest.raises(Unusable, match="empty"):
        numbers(path, VideoCounts(), start_s=3.0, end_s=2.0)


@pytest.mark.parametrize(
    ("codec", "pix_fmt"),
    [("libx264", "yuv420p"), ("libx264", "yuv444p"), ("mpeg4", "yuv420p"), ("mjpeg", "yuvj420p"),
     ("ffv1", "gray"), ("ffv1", "yuv420p10le"), ("ffv1", "bgr0"), ("ffv1", "gray16le"),
     ("png", "rgb24"), ("png", "pal8"), ("rawvideo", "nv12"), ("rawvideo", "yuv422p")],
)  # fmt: skip
def test_pixel_formats_give_the_same_picture(tmp_path: Path, codec: str, pix_fmt: str) -> None:
    # Chroma of half the size needs even sizes, but for codecs that round up.
    size = (33, 47) if codec in ("ffv1", "png", "mjpeg") else (34, 48)
    ramp = np.linspace(0, 255, size[1]).round().astype(np.uint8)
    picture = np.broadcast_to(ramp, size).copy()
    shown = picture if pix_fmt != "pal8" else (picture > 127).astype(np.uint8) * 255
    path = tmp_path / ("a.mov" if codec == "png" else "a.mkv")
    if pix_fmt == "pal8":
        path = write_palette(path, shown)
    else:
        write_video(path, [shown], codec=codec, pix_fmt=pix_fmt)
    (found,) = read_pictures(path, 25.0, VideoCounts())
    luma = found.grey(found.luma)
    assert luma.shape == size and luma.dtype == np.uint8
    tolerance = 8 if codec in ("libx264", "mpeg4", "mjpeg") else 2
    assert np.abs(luma.astype(int) - shown).max() <= tolerance
    assert found.rgb.shape == (*size, 3)
    assert np.abs(found.rgb.astype(int) - shown[..., None]).max() <= tolerance + 2


def write_palette(path: Path, picture: np.ndarray) -> Path:
    """One picture of black and white by a palette."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.height, stream.width = picture.shape
        stream.pix_fmt = "pal8"
        frame = av.VideoFrame(picture.shape[1], picture.shape[0], "pal8")
        rows = np.zeros((picture.shape[0], frame.planes[0].line_size), np.uint8)
        rows[:, : picture.shape[1]] = picture // 255
        frame.planes[0].update(rows.tobytes())
        palette = np.full((256, 4), 255, np.uint8)
        palette[0, :3] = 0
        frame.planes[1].update(palette.tobytes())
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_what_gives_no_pictures_is_named(tmp_path: Path) -> None:
    def reason(name: str) -> str:
        with pytest.raises(Unusable) as found:
            numbers(tmp_path / name, VideoCounts())
        return found.value.reason

    soundfile.write(tmp_path / "a.wav", np.zeros(999), 16000)
    (tmp_path / "zero.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("no film\n" * 99)
    whole = write_video(tmp_path / "whole.mp4", flat(50), options={"movflags": "faststart"})
    (tmp_path / "cut.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size * 8 // 10])
    noise = np.random.default_rng(0).integers(0, 255, (60, 64, 64)).astype(np.uint8)
    long = write_video(tmp_path / "long.mkv", noise)
    (tmp_path / "cut.mkv").write_bytes(long.read_bytes()[: long.stat().st_size // 2])
    expected = {"a.wav": "no picture", "zero.mp4": "empty", "text.mp4": "unreadable",
                "cut.mp4": "truncated", "cut.mkv": "truncated", "none.mp4": "missing"}  # fmt: skip
    assert {name: reason(name) for name in expected} == expected


def test_the_cover_of_a_song_is_no_film(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("libmp3lame", rate=44100, layout="mono")
        cover = container.add_stream("png", rate=25)
        cover.width = cover.height = 32
        cover.pix_fmt = "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")
        container.mux(cover.encode(frame))
        container.mux(cover.encode(None))
        heard = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), "fltp", "mono")
        heard.sample_rate = 44100
        container.mux(sound.encode(heard))
        container.mux(sound.encode(None))
    with av.open(str(path)) as container:
        assert container.streams.video
    with pytest.raises(Unusable, match="no picture"):
        numbers(path, VideoCounts())
