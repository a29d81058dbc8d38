"""Random views of faces: exact areas and frames, draws from the generator alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from avaffect.core.errors import UsageError
from avaffect.signal import augmentations
from avaffect.signal.augmentations import (
    augmentation,
    clip_means,
    gaussian_blur,
    in_turn,
    jitter,
    random_crop,
    random_resized_crop,
    salt_and_pepper,
    solarise,
    sometimes,
)

NAMES = ("flip", "crop", "crop-out", "missing", "solarise", "salt-pepper")
LENGTHS = torch.tensor([9, 5, 7, 1])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clips(size: int = 24, width: int | None = None, seed: int = 1) -> Tensor:
    """Grey, never black or white."""
    shape = (len(LENGTHS), int(LENGTHS.max()), size, width or size)
    return 0.05 + 0.9 * torch.rand(shape, generator=generator(seed))


@pytest.mark.parametrize("name", [*NAMES, "flip+crop", "missing+solarise", "crop-out+flip"])
def test_a_seed_makes_a_view_and_what_came_in_stays(name: str) -> None:
    given = clips()
    before = given.clone()
    apply = augmentation(name)
    found = apply(given, LENGTHS, generator(4))
    torch.testing.assert_close(given, before, rtol=0, atol=0)
    torch.testing.assert_close(found, apply(given, LENGTHS, generator(4)), rtol=0, atol=0)
    views = [apply(given, LENGTHS, generator(seed)) for seed in range(8)]
    assert any(not torch.equal(found, view) for view in views)
    assert found.shape == ((4, 9, 20, 20) if "crop" in name.split("+") else given.shape)
    assert found.min() >= 0.0 and found.max() <= 1.0


def test_pairs_are_one_after_the_other() -> None:
    drawn = generator(3)
    missing = augmentation("missing")(clips(), LENGTHS, drawn)
    expected = augmentation("solarise")(missing, LENGTHS, drawn)
    found = augmentation("missing+solarise")(clips(), LENGTHS, generator(3))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["blur", "flip+", "", "flip,crop"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="flip, crop, crop-out, missing"):
        augmentation(name)


# -- one by one -----------------------------------------------------------------------------------


def test_half_of_the_clips_are_mirrored_whole() -> None:
    many = clips(4)[:1].expand(2000, -1, -1, -1)
    found = augmentation("flip")(many, torch.full((2000,), 9), generator())
    flipped = torch.tensor([torch.equal(row, many[0].flip(2)) for row in found])
    same = torch.tensor([torch.equal(row, many[0]) for row in found])
    assert (flipped ^ same).all()
    assert abs(int(flipped.sum()) - 1000) < 4 * math.sqrt(500)


def test_a_crop_is_a_place_of_the_picture() -> None:
    # Each pixel says where it is.
    where = torch.arange(12 * 14.0).view(1, 1, 12, 14).expand(300, 3, -1, -1)
    found = augmentation("crop", crop=9)(where, torch.full((300,), 3), generator())
    assert found.shape == (300, 3, 9, 9)
    corners = found[:, 0, 0, 0]
    rows, columns = corners // 14, corners % 14
    expected = corners.view(-1, 1, 1) + torch.arange(9.0)[:, None] * 14 + torch.arange(9.0)
    torch.testing.assert_close(found, expected[:, None].expand(-1, 3, -1, -1))
    assert (set(rows.tolist()), set(columns.tolist())) == (set(range(4)), set(range(6)))


def test_80_of_96_pixels_unless_said_otherwise() -> None:
    assert random_crop(torch.zeros(1, 1, 96, 96), LENGTHS[:1], generator()).shape[2:] == (80, 80)
    whole = clips()
    torch.testing.assert_close(random_crop(whole, LENGTHS, generator(), 24), whole)
    for size in (25, 110):
        with pytest.raises(UsageError, match=rf"{size} x {size}"):
            augmentation("crop", crop=size)(whole, LENGTHS, generator())


@pytest.mark.parametrize(("height", "width"), [(96, 96), (48, 48), (64, 32), (7, 7)])
def test_squares_cover_a_quarter_and_never_each_other(height: int, width: int) -> None:
    white = torch.ones(40, 2, height, width)
    found = augmentation("crop-out")(white, torch.full((40,), 2), generator())
    # The same for each frame of a clip, elsewhere in the next clip.
    torch.testing.assert_close(found[:, 0], found[:, 1])
    assert len({row.numpy().tobytes() for row in found}) > 20
    black = (found[:, 0] == 0).sum((1, 2))
    sides = augmentations._square_sides(height, width)
    assert len(sides) == 5 and max(sides) - min(sides) <= 1
    assert set(black.tolist()) == {sum(side * side for side in sides)}
    # No other five sides, one apart at most, come nearer to a quarter.
    nearest = min(
        abs(k * (s + 1) ** 2 + (5 - k) * s * s - height * width / 4)
        for s in range(40)
        for k in range(6)
    )
    assert abs(int(black[0]) - height * width / 4) == nearest


def test_squares_of_96_pixels_by_hand() -> None:
    # 2304 pixels are a quarter; 3 * 21^2 + 2 * 22^2 = 2291, 2 * 21^2 + 3 * 22^2 = 2334.
    assert augmentations._square_sides(96, 96) == [22, 22, 21, 21, 21]


def test_squares_reach_every_pixel() -> None:
    found = augmentation("crop-out")(torch.ones(400, 1, 24, 24), torch.ones(400), generator())
    assert (found.amin(0) == 0).all() and (found.amax(0) == 1).all()


def test_exactly_a_fifth_of_the_frames_are_black() -> None:
    lengths = torch.tensor([1, 2, 3, 5, 7, 8, 10, 13, 50, 0])
    given = torch.full((10, 50, 3, 3), 0.5)
    found = augmentation("missing")(given, lengths, generator())
    black = (found == 0).all(3).all(2)
    expected = [round(0.2 * length) for length in lengths.tolist()]
    assert expected == [0, 0, 1, 1, 1, 2, 2, 3, 10, 0]
    assert [int(black[row, :length].sum()) for row, length in enumerate(lengths)] == expected
    assert ((found == 0.5) | black[..., None, None]).all()
    # Anywhere in a clip.
    places = [augmentation("missing")(given[:1, :5], lengths[3:4], generator(s)) for s in range(60)]
    assert {int((p[0, :, 0, 0] == 0).nonzero()) for p in places} == set(range(5))


def test_what_is_lighter_than_the_mean_is_inverted() -> None:
    clip = torch.tensor([0.1, 0.2, 0.6, 0.7]).view(1, 1, 2, 2).repeat(1, 3, 1, 1)
    # Padding does not enter the mean of 0.4.
    clip[:, 2] = 0.9
    found = solarise(clip, torch.tensor([2]), generator())
    expected = torch.tensor([0.1, 0.2, 0.4, 0.3])
    torch.testing.assert_close(found[0, :2].flatten(1), expected.expand(2, -1))
    found = solarise(clip, torch.tensor([2]), generator(), threshold=0.65)
    torch.testing.assert_close(found[0, 0].flatten(), torch.tensor([0.1, 0.2, 0.6, 0.3]))
    many = clip.expand(2000, -1, -1, -1)
    found = augmentation("solarise")(many, torch.full((2000,), 2), generator())
    changed = (found != many).flatten(1).any(1)
    assert abs(int(changed.sum()) - 400) < 4 * math.sqrt(2000 * 0.2 * 0.8)


def test_half_of_the_noise_is_salt() -> None:
    given = torch.full((4, 5, 100, 100), 0.5)
    found = salt_and_pepper(given, torch.full((4,), 5), generator())
    for value in (0.0, 1.0):
        count = int((found == value).sum())
        assert abs(count - 0.025 * 200_000) < 4 * math.sqrt(200_000 * 0.025)
    assert ((found == 0) | (found == 1) | (found == 0.5)).all()
    # Anew in each frame.
    assert not torch.equal(found[0, 0], found[0, 1])


# -- those of the pretext tasks -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "extent", "size"), [(3, 13, 8), (0, 20, 31), (5, 1, 4), (2, 9, 9)]
)
def test_resizing_is_antialiased_bilinear_interpolation(start: int, extent: int, size: int) -> None:
    line = torch.rand(1, 1, 20, 6, dtype=torch.float64, generator=generator())
    weights = augmentations._resampling(
        torch.tensor([start], dtype=torch.float64), torch.tensor([extent], dtype=torch.float64),
        20, size,
    )  # fmt: skip
    expected = F.interpolate(
        line[:, :, start : start + extent], (size, 6), mode="bilinear", antialias=True
    )
    torch.testing.assert_close(weights[0] @ line[0, 0], expected[0, 0])


def test_resized_crops_lie_within_the_picture_and_their_areas_in_the_range() -> None:
    # Pixels that say where they are: a linear ramp stays one, away from the borders of the crop.
    ramp = torch.arange(64.0)
    seen = torch.stack(
        [
            random_resized_crop(
                picture.expand(200, 1, -1, -1), torch.ones(200), generator(), 16, (0.25, 0.5)
            )
            for picture in (ramp[:, None].expand(-1, 64), ramp.expand(64, -1))
        ]
    )
    assert seen.shape == (2, 200, 1, 16, 16)
    assert seen.min() >= 0 and seen.max() <= 63
    step_down = seen[0, :, 0, 10, 8] - seen[0, :, 0, 5, 8]
    step_right = seen[1, :, 0, 8, 10] - seen[1, :, 0, 8, 5]
    height, width = step_down * 16 / 5, step_right * 16 / 5
    area = height * width / 64**2
    # Sides are whole pixels.
    assert area.min() > 0.24 and area.max() < 0.515
    assert area.min() < 0.27 and area.max() > 0.48
    aspect = width / height
    assert 0.7 < aspect.min() < 0.8 and 1.25 < aspect.max() < 1.4


def test_the_whole_picture_and_the_smallest_crop() -> None:
    given = clips(16)
    whole = random_resized_crop(given, LENGTHS, generator(), 16, (1.0, 1.0), (1.0, 1.0))
    torch.testing.assert_close(whole, given)
    point = random_resized_crop(given, LENGTHS, generator(), 5, (1e-4, 1e-4))
    torch.testing.assert_close(point, point[..., :1, :1].expand_as(point))
    assert all((given[row] == point[row, :, :1, :1]).any() for row in range(4))


def test_jitter_moves_mean_and_contrast_of_a_clip() -> None:
    given = 0.5 + 0.02 * torch.randn(500, 3, 6, 6, generator=generator(2))
    lengths = torch.full((500,), 3)
    found = jitter(given, lengths, generator(), 0.3)
    offset = (clip_means(found, lengths) - clip_means(given, lengths)).flatten()
    factor = found.flatten(1).std(1) / given.flatten(1).std(1)
    assert -0.3 < offset.min() < -0.28 and 0.28 < offset.max() < 0.3
    assert 0.7 <= factor.min() < 0.72 and 1.28 < factor.max() <= 1.3001
    # The same for each frame.
    expected = (given[7] - clip_means(given, lengths)[7]) * factor[7] + clip_means(
        found, lengths
    )[7]  # fmt: skip
    torch.testing.assert_close(found[7], expected, atol=1e-5, rtol=0)
    bright = jitter(given, lengths, generator(), 0.9)
    assert bright.min() == 0.0 and bright.max() == 1.0


def test_blur_is_a_normalised_gaussian_of_its_own_for_each_clip() -> None:
    impulse = torch.zeros(3, 2, 112, 112)
    impulse[:, :, 50, 60] = 1.0
    found = gaussian_blur(impulse, torch.tensor([2, 2, 2]), generator(5))
    torch.testing.assert_close(found.sum((2, 3)), torch.ones(3, 2))
    # Half the 0.1 to 2 pixels of pictures twice as large.
    drawn = 0.05 + 0.95 * torch.rand(3, generator=generator(5), dtype=torch.float64)
    reach = torch.arange(-3.0, 4.0)
    for clip, deviation in zip(found, drawn):
        line = torch.exp(-reach.square() / (2 * deviation.square()))
        expected = torch.zeros(112, 112)
        expected[47:54, 57:64] = torch.outer(line, line) / line.sum().square()
        torch.testing.assert_close(clip, expected.expand(2, -1, -1), atol=1e-6, rtol=1e-4)
    flat = torch.full((3, 2, 112, 112), 0.3)
    torch.testing.assert_close(gaussian_blur(flat, LENGTHS[:3], generator()), flat)


def test_sometimes_leaves_the_others_alone() -> None:
    darker: Callable = lambda clips, lengths, generator: clips * 0.5  # noqa: E731
    many = torch.ones(1000, 1, 2, 2)
    found = sometimes(darker, 0.3)(many, torch.ones(1000), generator())[:, 0, 0, 0]
    assert set(found.tolist()) == {0.5, 1.0}
    assert abs(int((found == 0.5).sum()) - 300) < 4 * math.sqrt(210)
    never = sometimes(darker, 0.0)(many, torch.ones(1000), generator())
    assert torch.equal(never, many)
    twice = in_turn(darker, darker)(many, torch.ones(1000), generator())
    assert torch.equal(twice, many / 4)
