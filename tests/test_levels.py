"""What full scale is in floats, and which samples were clipped."""

from __future__ import annotations

import numpy as np
import pytest
from cases.voices import speech

from avaffect.data.decoding.levels import Clipping, full_scale

S = speech(2.0).astype(float)


def _with(samples: np.ndarray, at: int, value: float) -> np.ndarray:
    changed = samples.copy()
    changed[at] = value
    return changed


@pytest.mark.parametrize(
    ("samples", "scale"),
    [
        (S, 1), (2 * S, 1), (0 * S, 1), (S[:0], 1), (np.sign(S), 1),
        # Integers, quiet or loud, and of more bits.
        (np.rint(32768 * S), 2**15), (np.rint(60 * S), 2**15), (np.rint(2**23 * S), 2**23),
        (np.rint(2**31 * S), 2**31), (np.where(S > 0, 32767.0, -32768.0), 2**15),
        (32768 * S, 2**15), (1000 * S, 2**15),
        # Louder than full scale, a little here and there, or much.
        (2.1 * S, 1), (6 * S, 3), (24 * S, 12), (70000 * S, 35000),
        # A broken sample is no scale.
        (_with(S, 9, 3e4), 1), (_with(S, 9, -7.5), 1),
    ],
)  # fmt: skip
def test_full_scale(samples: np.ndarray, scale: float) -> None:
    assert full_scale([samples[:999], samples[999:]]) == pytest.approx(scale)


def _clipped(samples: np.ndarray, lossless: bool = True, block: int = 5000) -> int:
    found = Clipping(lossless)
    scale = 1.0 if samples.dtype.kind == "f" else 2.0 ** (8 * samples.itemsize - 1)
    rows = np.atleast_2d(samples)
    for start in range(0, rows.shape[1], block):
        found.look(rows[:, start : start + block], scale)
    return found.samples


def _int16(samples: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(samples, -1, 32767 / 32768) * 32768).astype("int16")


@pytest.mark.parametrize("block", [500, 5000, 1 << 20])
@pytest.mark.parametrize("ceiling", [1.0, 0.97, 0.5, 0.03])
def test_clipping_is_counted_at_any_ceiling(ceiling: float, block: int) -> None:
    loud = _int16(np.clip(4 * S, -1, 1) * ceiling)
    count = int((np.abs(4 * S) >= 1).sum())
    assert abs(_clipped(loud, block=block) - count) <= 0.05 * count
    assert _clipped(-np.maximum(loud, -32767), block=block) > 0.9 * count


def test_one_side_alone_may_be_clipped() -> None:
    count = int((S >= 0.2).sum())
    assert _clipped(_int16(np.minimum(S, 0.2))) == count
    # Stereo of it is not clipped twice.
    assert _clipped(np.stack([_int16(np.minimum(S, 0.2))] * 2)) == count


@pytest.mark.parametrize("peak", [0.999, 0.5, 0.02, 0.001])
@pytest.mark.parametrize("hertz", [20, 50, 120, 440, 3999])
def test_smooth_tones_are_not_clipped(peak: float, hertz: float) -> None:
    for phase in (0.0, np.pi * hertz / 48000):
        tone = peak * np.sin(2 * np.pi * hertz * np.arange(48000) / 48000 + phase)
        assert not _clipped(_int16(tone)) and not _clipped(tone.astype("float32"))


def test_what_is_whole_is_not_clipped() -> None:
    for samples in (S, 2 * S, 0.01 * S, 0 * S, S + 0.3):
        assert not _clipped(_int16(samples))
    assert not _clipped(((_int16(S) >> 8) + 128).astype("uint8"))
    # Each sample three times: a rate that was raised without a filter.
    assert not _clipped(np.repeat(_int16(S), 3))


def test_lossy_codecs_have_no_ceiling_but_full_scale() -> None:
    loud = np.clip(4 * S, -1, 1) * 0.5
    assert not _clipped(_int16(loud), lossless=False)
    beyond = 3 * S
    assert _clipped(beyond, lossless=False) == (np.abs(beyond) > 1).sum()
    assert _clipped(_int16(8 * S), lossless=False) > 0
