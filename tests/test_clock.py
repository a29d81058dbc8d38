"""Pauses, jumps, jitter and drift of time stamps are told apart, by sound and by pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from flashes import LATE, MOMENTS, PAUSED, WHOLE, beeps, flashes, furthest, write_flashes

from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.data.decoding.audio import decode_audio
from avaffect.data.decoding.clock import AudioClock, with_later
from avaffect.data.decoding.stretching import Stretcher
from avaffect.data.decoding.timeline import Timeline

RATE = 16_000


def frames(times: Sequence[float | None], samples: int = 320) -> list[SimpleNamespace]:
    return [SimpleNamespace(time=t, samples=samples, sample_rate=RATE) for t in times]


def run(clock: AudioClock, times: Sequence[float | None]) -> tuple[list[float], int, set[float]]:
    """Where frames of 20 ms lie, how many gaps there are, and at which paces they are played."""
    placed, paces = [], set()
    for frame, later in with_later(frames(times)):
        placed.append(clock.place(frame, later))
        paces.add(clock.pace)
    return [here for _, here in placed], sum(bool(gap) for gap, _ in placed), paces


@pytest.mark.parametrize("amount", [0.005, 0.02, 0.04, 0.06])
def test_jitter_alone_changes_nothing(amount: float) -> None:
    """For ten minutes; whatever it is, it does not add up."""
    steady = np.arange(30_000) * 0.02
    jitter = np.random.default_rng(0).uniform(-amount, amount, len(steady))
    here, gaps, paces = run(AudioClock(0.0, 0.0), (steady + jitter).tolist())
    assert gaps <= 3 * (amount > 0.04)
    if amount <= 0.04:
        assert paces == {1.0}
        np.testing.assert_allclose(here, steady, atol=1e-6)
    assert np.abs(here - steady).max() < 0.1


@pytest.mark.parametrize("drift", [-0.09, -0.05, -0.01, -0.002, 0.002, 0.01, 0.05, 0.09])
@pytest.mark.parametrize("jitter", [0.0, 0.015])
def test_drift_is_followed(drift: float, jitter: float) -> None:
    """A tenth of a second is what lips and voice may be apart."""
    count = 30_000 if abs(drift) < 0.01 else 6_000
    times = np.arange(count) * 0.02 * (1 + drift)
    jitters = np.random.default_rng(1).uniform(-jitter, jitter, count)
    here, gaps, paces = run(AudioClock(0.0, 0.0), (times + jitters).tolist())
    assert gaps == 0
    assert np.abs(here - times).max() < 0.1
    # Once it is found there is hardly any lateness left, and the pitch is steady.
    assert np.abs(here - times)[count // 2 :].max() < 0.01
    assert max(abs(pace - 1) for pace in paces) < abs(drift) + 0.025


def test_a_gap_within_drifting_sound_is_filled() -> None:
    times = np.arange(6000) * 0.02 * 1.01
    times[4000:] += 7.0
    here, gaps, _ = run(AudioClock(0.0, 0.0), times.tolist())
    assert gaps == 1 and np.abs(here - times).max() < 0.09


def test_a_lost_packet_does_not_start_a_stretch() -> None:
    times = np.arange(3000) * 0.02
    times[1000:] += 0.02
    _, gaps, paces = run(AudioClock(0.0, 0.0), times.tolist())
    assert gaps == 0 and paces == {1.0}


def stretched(samples: np.ndarray, pace: float, block: int = 999) -> np.ndarray:
    parts: list[np.ndarray] = []
    stretcher = Stretcher(SimpleNamespace(write=parts.append))
    stretcher.pace = pace
    for start in range(0, len(samples), block):
        stretcher.write(samples[start : start + block])
    stretcher.flush()
    return np.concatenate(parts)


@pytest.mark.parametrize("pace", [0.93, 0.99, 1.002, 1.01, 1.07])
def test_stretching_keeps_the_sound(pace: float) -> None:
    """A tone is a tone of another length: no clicks where blocks meet, nothing added."""
    times = np.arange(20_000) / RATE
    tone = (12_000 * np.sin(2 * np.pi * 1500 * times)).astype(np.int16)
    found = stretched(tone, pace)
    assert abs(len(found) - pace * len(tone)) <= 2
    wanted = 12_000 * np.sin(2 * np.pi * 1500 * np.arange(len(found)) / RATE / pace)
    error = (found - wanted)[50:-50]
    assert np.sqrt(np.mean(error**2)) < 12_000 / 1000
    other = stretched(tone, pace, block=7000)
    length = min(len(found), len(other))
    np.testing.assert_allclose(found[:length], other[:length], atol=1)


def test_stretching_by_nothing_changes_nothing() -> None:
    samples = np.random.default_rng(0).integers(-32768, 32767, 5000).astype(np.int16)
    np.testing.assert_array_equal(stretched(samples, 1.0), samples)


def spans(*tracks: list[tuple[float, float]]) -> Timeline:
    timeline = Timeline(Path("unread"))
    timeline._tracks = dict(enumerate(tracks))
    return timeline


def test_the_other_tracks_decide_what_a_jump_is() -> None:
    film = [(0.0, 6.0), (76.0, 86.0)]
    assert spans(film, [(0.0, 86.0)]).no_time(0, 6.0, 76.0) == 0.0
    # Late, and the other stops a little before.
    assert spans([(90.0, 100.0)], [(0.0, 97.0)]).no_time(0, 0.0, 90.0) == 0.0
    # Alone: nobody knows, and a clock that was set is likelier.
    assert spans(film).no_time(0, 6.0, 76.0) == 70.0
    # Both at once: what none holds is left out, and they stay together.
    both = spans(film, [(0.0, 6.5), (76.0, 86.0)])
    assert both.no_time(0, 6.0, 76.0) == both.no_time(1, 6.5, 76.0) == 69.5
    # Stamps of one track alone go wrong: it ends where the other does once it is joined.
    assert spans([(0.0, 10.0), (110.0, 160.0)], [(0.0, 60.0)]).no_time(0, 10.0, 110.0) == 100.0
    # Two pauses that share 66 s.
    two = spans([(0.0, 6.0), (146.0, 180.0)], [(0.0, 20.0), (86.0, 180.0)])
    assert two.no_time(0, 6.0, 146.0) == two.no_time(1, 20.0, 86.0) == 66.0


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize(
    "parts", [(PAUSED, WHOLE), (WHOLE, PAUSED), (LATE, WHOLE), (WHOLE, LATE)],
    ids=["film pauses", "sound pauses", "late film", "late sound"],
)  # fmt: skip
def test_parts_of_a_recording_that_pauses(tmp_path: Path, name: str, parts: tuple) -> None:
    path = write_flashes(tmp_path / name, *parts)
    for start, end in ((0.0, 5.0), (3.0, 81.0), (40.0, 79.0), (77.0, 86.0), (79.0, None)):
        for find, held in ((flashes, parts[0]), (beeps, parts[1])):
            right = [m - start for m in MOMENTS[2 if held is LATE else 0 :]
                     if start < m < (end or 99)]  # fmt: skip
            assert furthest(find(path, start, end), right) <= 0.1, (find.__name__, start, end)


def test_a_part_of_drifting_sound_lies_where_it_does_in_the_whole(tmp_path: Path) -> None:
    moments = [3.0 + 7 * n for n in range(16)]
    long = ((0, 120),)
    path = write_flashes(tmp_path / "a.mp4", long, long, pace=0.99, moments=moments)
    whole = beeps(path)
    assert furthest(whole, moments) < 0.08
    for start, end in ((0.0, 30.0), (35.0, 50.0), (70.0, 119.0)):
        expected = [time - start for time in whole if start <= time < end]
        assert furthest(beeps(path, start, end), expected) < 0.04


def test_clocks_of_all_tracks_that_jump_are_joined(tmp_path: Path) -> None:
    """A recorder whose clock is set on the way: sound and pictures stay together."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        film = container.add_stream("mpeg4", rate=25)
        film.width = film.height = 32
        film.pix_fmt = "yuv420p"
        film.time_base = film.codec_context.time_base = Fraction(1, 1000)
        voice = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for number in range(250):
            jump = 0 if number < 100 else 300
            picture = np.full((48, 32), 235 if number // 25 == 6 else 16, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
            frame.pts, frame.time_base = 1000 * jump + 40 * number, Fraction(1, 1000)
            container.mux(film.encode(frame))
            loud = np.full((1, RATE // 25), 9000 if number // 25 == 6 else 0, np.int16)
            sound = av.AudioFrame.from_ndarray(loud, "s16", "mono")
            sound.sample_rate, sound.time_base = RATE, Fraction(1, RATE)
            sound.pts = RATE * jump + RATE // 25 * number
            container.mux(voice.encode(sound))
        container.mux(film.encode(None))
    assert furthest(beeps(path), [6.0]) < 0.03 and furthest(flashes(path), [6.0]) < 0.05
    sink = io.BytesIO()
    assert decode_audio(path, sink).samples == pytest.approx(10 * SAMPLE_RATE_HZ, abs=50)


def only(path: Path, kind: str) -> Path:
    """A copy of a film with its track of one kind alone."""
    alone = path.with_name(f"{kind}{path.suffix}")
    with av.open(str(path)) as source, av.open(str(alone), "w") as container:
        stream = getattr(source.streams, kind)[0]
        copy = container.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                container.mux(packet)
    return alone


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_sound_and_pictures_in_files_of_their_own_decide_for_each_other(
    tmp_path: Path, name: str
) -> None:
    """As services record calls, a file for each track."""
    camera_off = write_flashes(tmp_path / name, PAUSED, WHOLE)
    film, voice = only(camera_off, "video"), only(camera_off, "audio")
    assert furthest(flashes(film, beside=voice), MOMENTS) <= 0.1
    assert furthest(flashes(film), MOMENTS) > 60 and furthest(beeps(voice), MOMENTS) <= 0.1
    muted = write_flashes(tmp_path / name, WHOLE, PAUSED)
    film, voice = only(muted, "video"), only(muted, "audio")
    assert furthest(beeps(voice, beside=film), MOMENTS) <= 0.1
    # One that cannot be read says nothing.
    assert furthest(beeps(voice, beside=tmp_path / "none.mp4"), MOMENTS) > 60
