"""Traces between rates, and shares of the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avaffect.core.errors import UsageError
from avaffect.data.traces import at_times, resample
from avaffect.recipes.common.subset import chosen_share
from avaffect.settings.finetune import FinetuneSettings


def test_a_straight_line_stays_one():
    line = np.arange(11, dtype=np.float32)
    found = resample(line, 10.0, 25.0)
    assert found.shape == (28,)
    np.testing.assert_allclose(found[:26], np.arange(26) / 2.5, rtol=1e-6)
    # The last value holds until the next would come.
    assert found[26:].tolist() == [10.0, 10.0]
    np.testing.assert_allclose(resample(line, 10.0, 5.0), line[::2][:6])


def test_equal_rates_change_nothing_but_the_length():
    values = np.array([[0.1, 1.0], [np.nan, 2.0]], dtype=np.float32)
    np.testing.assert_array_equal(resample(values, 25.0, 25.0), values)
    longer = resample(values, 25.0, 25.0, count=3)
    assert np.isnan(longer[2]).all() and longer.shape == (3, 2)
    assert resample(values, 25.0, 25.0, count=1).tolist() == values[:1].tolist()


def test_what_is_unknown_stays_so():
    values = np.array([0.0, np.nan, 2.0, 3.0], dtype=np.float32)
    found = resample(values, 1.0, 2.0)
    assert np.isnan(found).tolist() == [False, True, True, True, False, False, False, False]
    assert np.isnan(resample(values[:0], 1.0, 2.0, count=2)).all()
    assert np.isnan(resample(values, 1.0, 1.5, count=9)[6:]).all()
    with pytest.raises(ValueError, match="above 0"):
        resample(values, 0.0, 1.0)


def test_values_at_other_times():
    times, values = np.array([1.0, 1.1, 1.3]), np.array([0.3, 0.3, 0.7])
    asked = np.array([0.85, 0.91, 1.0, 1.1 + 1e-9, 1.15, 1.2, 1.3, 1.4, 1.46])
    # Steps are 0.15 s at the median: the ends hold for less than one.
    expected = [np.nan, 0.3, 0.3, 0.3, 0.4, 0.5, 0.7, 0.7, np.nan]
    np.testing.assert_allclose(at_times(times, values, asked), expected, atol=1e-8)
    # A constant stays one, to the last digit.
    flat = at_times(times, np.full(3, 0.1), np.linspace(0.9, 1.4, 77))
    assert set(flat.tolist()) == {0.1}
    # What is unknown touches its neighbours' intervals, not the neighbours.
    gap = at_times(times, np.array([0.3, np.nan, 0.7]), np.array([1.0, 1.05, 1.2, 1.3]))
    np.testing.assert_array_equal(gap, [0.3, np.nan, np.nan, 0.7])
    one = at_times(times[:1], values[:1], np.array([0.99, 1.0]))
    np.testing.assert_array_equal(one, [np.nan, 0.3])
    two = at_times(times, np.stack([values, -values], axis=1), asked[4:6])
    np.testing.assert_allclose(two, [[0.4, -0.4], [0.5, -0.5]])


def test_shares_are_nested_and_ignore_order():
    ids = [f"u{n}" for n in range(100)]
    tenth, half = (chosen_share(ids, share, 3) for share in (0.1, 0.5))
    assert tenth.sum() == 10 and half.sum() == 50 and not (tenth & ~half).any()
    backwards = chosen_share(ids[::-1], 0.1, 3)[::-1]
    assert (backwards == tenth).all() and (chosen_share(ids, 0.1, 4) != tenth).any()
    assert chosen_share(ids, 1.0, 0).all() and chosen_share(ids, 0.001, 0).sum() == 1


def test_every_class_keeps_its_share():
    classes = np.repeat([0, 1, 2], [50, 20, 3])
    chosen = chosen_share([f"u{n}" for n in range(73)], 0.1, 0, classes)
    assert np.bincount(classes[chosen]).tolist() == [5, 2, 1]
    for share in (0.0, -0.5, 1.5):
        with pytest.raises(UsageError, match="--fraction"):
            FinetuneSettings(media=(Path("a.h5"),), fraction=share)
