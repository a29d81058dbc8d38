"""Times of frames that other tools wrote: their rate, and frames that are missing."""

from __future__ import annotations

import numpy as np
import pytest

from avaffect.core.errors import DataError
from avaffect.data.feature_files.grid import Rates, filled, grid_of


@pytest.mark.parametrize("rate", [23.976, 24.0, 25.0, 29.97, 30.0, 50.0, 59.94, 60.0, 100.0])
@pytest.mark.parametrize("count", [8, 300, 20_000])
def test_rounded_times_do_not_drift(rate: float, count: int) -> None:
    exact = {23.976: 24000 / 1001, 29.97: 30000 / 1001, 59.94: 60000 / 1001}.get(rate, rate)
    kept = np.ones(count, dtype=bool)
    kept[3 : 3 + count // 4] = False
    times = 7.5 + np.round(np.arange(count)[kept] / exact, 3)
    found = grid_of(times)
    np.testing.assert_array_equal(found.positions, np.flatnonzero(kept))
    assert found.worst < 0.1
    rates = Rates()
    rates.add("a", found)
    measured = rates.common()
    assert measured is not None
    assert abs(measured - rate) < (1e-3 if count > 8 else 0.01 * rate)


def test_other_rates_are_found() -> None:
    rates = Rates()
    for name, rate in (("a", 25), ("b", 25), ("c", 30)):
        rates.add(name, grid_of(np.arange(200) / rate))
    with pytest.raises(DataError, match=r"^c has 30 rows a second, most have 25"):
        rates.common()
    assert Rates().common() is None
    assert grid_of(np.array([3.0])).positions.tolist() == [0]
    # Half of the frames are missing.
    assert grid_of(np.array([1, 2, 4, 6, 8, 9])).positions.tolist() == [0, 1, 3, 5, 7, 8]
    assert grid_of(np.array([1, 2, 4])).positions.tolist() == [0, 1, 3]
    # A row in the middle between two places.
    assert grid_of(np.array([0, 1, 2, 3.5, 5, 6, 7])).worst > 0.2


def test_gaps_are_straight_lines() -> None:
    values = np.array([[1.0, 10], [4, 40], [5, 0]], dtype=np.float32)
    found = filled(values, np.array([1, 4, 5]), 7)
    np.testing.assert_allclose(found[:, 0], [1, 1, 2, 3, 4, 5, 5])
    np.testing.assert_allclose(found[:, 1], [10, 10, 20, 30, 40, 0, 0])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(filled(values, np.arange(3), 3), values)
