"""FixMatch's weak and strong views of clips: single operations, and what is drawn."""

from __future__ import annotations

import pytest
import torch
from test_augmentations import LENGTHS, clips, generator
from torch import Tensor

from avaffect.signal import random_augmentation as random
from avaffect.signal.random_augmentation import OPERATIONS


def test_a_weak_view_is_a_mirrored_or_shifted_clip() -> None:
    """By whole pixels, at most an eighth of the side, alike in all pictures."""
    given = clips(16)
    seen: set[tuple[int, int, int]] = set()
    for seed in range(40):
        found = random.flip_and_shift(given, LENGTHS, generator(seed))
        for row in range(len(given)):
            ways = [
                (mirrored, down, right)
                for mirrored, clip in enumerate((given[row], given[row].flip(2)))
                for down in range(-2, 3)
                for right in range(-2, 3)
                if torch.equal(inner(found[row]), inner(clip.roll((down, right), (1, 2))))
            ]
            assert len(ways) == 1
            seen.add(ways[0])
    # All 50 of them are equally likely: 160 clips show most.
    assert len(seen) > 40


def inner(pictures: Tensor) -> Tensor:
    return pictures[:, 3:-3, 3:-3]


def test_edges_are_mirrored() -> None:
    row = torch.arange(16.0)
    shifted = row[random._mirrored(16, 2)]
    assert shifted.tolist() == [2, 1, *range(14)]
    assert row[random._mirrored(16, -2)].tolist() == [*range(2, 16), 14, 13]


@pytest.mark.parametrize("name", ["strong_view", "flip_and_shift"])
def test_a_seed_makes_a_view(name: str) -> None:
    view = getattr(random, name)
    given = clips()
    before = given.clone()
    found = [view(given, LENGTHS, generator(seed)) for seed in (1, 1, 2)]
    assert torch.equal(given, before) and torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert found[0].shape == given.shape
    assert all(one.min() >= 0 and one.max() <= 1 and one.isfinite().all() for one in found)


@pytest.mark.parametrize("place", [0.0, 0.3, 0.999])
@pytest.mark.parametrize("number", range(len(OPERATIONS)))
def test_every_operation_keeps_pictures(number: int, place: float) -> None:
    operation, low, high = OPERATIONS[number]
    # Wider than high, and one picture of padding.
    given = clips(16, width=24)[0]
    found = operation(given, given[:8], low + place * (high - low))
    assert found.shape == given.shape and found.isfinite().all()
    # One of grey alone has nothing to stretch.
    flat = torch.full((3, 16, 16), 0.5)
    assert operation(flat, flat, low + place * (high - low)).isfinite().all()


def test_operations_are_what_they_are_called() -> None:
    given = clips(16)[0]
    run = lambda operation, value=0.0: operation(given, given, value)  # noqa: E731
    stretched = run(random.autocontrast)
    assert stretched.min() == 0 and stretched.max() == 1
    torch.testing.assert_close(run(random.brightness, 0.5), given / 2)
    torch.testing.assert_close(run(random.contrast, 0.5).mean(), given.mean())
    torch.testing.assert_close(run(random.contrast, 0.5).std(), given.std() / 2)
    levels = (given * 255).round() / 255
    torch.testing.assert_close(run(random.posterise, 8.9), levels)
    assert len(run(random.posterise, 4.0).unique()) <= 16
    torch.testing.assert_close(run(random.sharpness, 1.0), given)
    assert run(random.sharpness, 0.0).std() < given.std()
    solarised = torch.where(given > 0.6, 1 - given, given)
    torch.testing.assert_close(run(random.solarise_above, 0.6), solarised)
    # Equally frequent: the distribution of levels is uniform.
    quantiles = torch.quantile(run(random.equalise), torch.tensor([0.25, 0.5, 0.75]))
    torch.testing.assert_close(quantiles, torch.tensor([0.25, 0.5, 0.75]), atol=0.03, rtol=0)


def test_pictures_move_in_space() -> None:
    given = clips(16)[0]
    same = dict(atol=1e-5, rtol=0)
    torch.testing.assert_close(random.rotate(given, given, 0.0), given, **same)
    quarter = random.rotate(given, given, 90.0)
    torch.testing.assert_close(quarter, given.rot90(-1, (1, 2)), **same)
    left = random.shift_x(given, given, 0.25)
    torch.testing.assert_close(left[:, :, :12], given[:, :, 4:], **same)
    assert (left[:, :, 12:] - random.GREY).abs().max() < 1e-5
    up = random.shift_y(given, given, 0.25)
    torch.testing.assert_close(up[:, :12], given[:, 4:], **same)
    # Rows move by a share of their distance from the middle, columns alike.
    sheared = random.shear_x(given, given, 2 / 3)
    torch.testing.assert_close(sheared[:, 9, :15], given[:, 9, 1:], **same)
    torch.testing.assert_close(sheared[:, 6, 1:], given[:, 6, :15], **same)
    torch.testing.assert_close(
        random.shear_y(given, given, 0.2),
        random.shear_x(given.mT, given.mT, 0.2).mT, **same,
    )  # fmt: skip


def test_a_grey_square_is_cut_out() -> None:
    given = clips(16)[0]
    found = random.cut_out(given, 1.0, 0.5, 0.5)
    cut = found == random.GREY
    assert cut[:, 4:12, 4:12].all() and cut.sum() == 9 * 64
    # At an edge, a part of it.
    assert (random.cut_out(given, 1.0, 0.0, 0.0) == random.GREY).sum() == 9 * 16
    assert torch.equal(random.cut_out(given, 0.0, 0.5, 0.5), given)
