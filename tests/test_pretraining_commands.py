"""Odd-One-Out and its relatives on the command line: what is refused, and with which words."""

from __future__ import annotations

import pytest
import torch

from avaffect.objectives.jumbling import FEWEST_STEPS, fits, swap_order, window_length


@pytest.mark.parametrize("length", [2, 3, 5, 7, 99, 100])
def test_windows_of_half_a_clip_fit_clips_of_odd_length(length):
    width = window_length(length, 0.5)
    assert width == length // 2
    assert fits(length)
    order = swap_order(
        torch.tensor([length]), torch.tensor([True]), length, torch.Generator().manual_seed(0), 0.5
    )
    assert sorted(order[0].tolist()) == list(range(length))
    assert (order[0] != torch.arange(length)).sum() == 2 * width


def test_shorter_windows_are_as_long_as_they_were():
    assert [window_length(length) for length in (2, 3, 10, 17, 20, 100)] == [1, 1, 2, 3, 3, 15]
    assert not fits(FEWEST_STEPS - 1)
