from __future__ import annotations

import pytest
import torch

from avaffect.signal.images import centre_crop, random_crop_and_flip, resize, to_channels


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=seeded())


def test_grey_is_the_luma_of_rgb():
    colours = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]])
    found = to_channels(colours.to(torch.uint8).view(1, 4, 3), 1)
    assert found.dtype == torch.uint8
    assert found.flatten().tolist() == [76, 150, 29, 255]
    exact = to_channels(colours.float().view(1, 4, 3), 1)
    torch.testing.assert_close(exact.flatten(), torch.tensor([76.245, 149.685, 29.07, 255.0]))


def test_grey_becomes_three_equal_channels_and_back():
    grey = pictures(2, 5, 8, 8, 1)
    rgb = to_channels(grey, 3)
    assert rgb.shape == (2, 5, 8, 8, 3)
    assert (rgb == grey).all()
    assert torch.equal(to_channels(rgb, 1), grey)
    assert to_channels(grey, 1) is grey
    with pytest.raises(ValueError, match=r"2 channels .* 3"):
        to_channels(pictures(4, 4, 2), 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_averages_neighbours_and_keeps_flat_pictures_flat(channels):
    flat = torch.full((2, 3, 96, 96, channels), 77, dtype=torch.uint8)
    assert (resize(flat, 48) == 77).all() and (resize(flat, 224) == 77).all()
    # A checkerboard has no detail left at half its size: all of it is in between.
    board = (torch.arange(96)[:, None] + torch.arange(96)[None]) % 2 * 200
    board = board.to(torch.uint8).view(1, 96, 96, 1).expand(1, 96, 96, channels)
    small = resize(board, 48)
    assert small.dtype == torch.uint8 and small.shape == (1, 48, 48, channels)
    assert (small[:, 1:-1, 1:-1].float() - 100).abs().max() <= 1


def test_resizing_keeps_places():
    """A ramp stays the same ramp: pixel i of the half covers pixels 2 i and 2 i + 1."""
    ramp = (torch.arange(96) * 2.0).view(1, 1, 96, 1).expand(1, 96, 96, 1)
    small = resize(ramp, 48)[0, 24, 2:-2, 0]
    torch.testing.assert_close(small, torch.arange(48)[2:-2] * 4.0 + 1.0)


def test_resizing_many_pictures_is_resizing_each():
    many = pictures(300, 10, 14, 3)
    together = resize(many.view(3, 100, 10, 14, 3), 7)
    assert together.shape == (3, 100, 7, 7, 3)
    alone = torch.stack([resize(picture, 7) for picture in many])
    assert torch.equal(together.view_as(alone), alone)
    assert resize(together, 7) is together
    assert resize(many[:0], 7).shape == (0, 7, 7, 3)


def test_the_centre_is_the_centre():
    picture = pictures(9, 8, 1)
    assert torch.equal(centre_crop(picture, 4), picture[2:6, 2:6])
    assert torch.equal(centre_crop(picture, 8), picture[0:8])


def test_random_crops_are_places_of_the_clip_alike_in_all_its_pictures():
    # Every pixel says where it comes from.
    place = torch.arange(12)[:, None] * 20 + torch.arange(12)[None]
    clips = place.to(torch.uint8).view(1, 1, 12, 12, 1).expand(64, 3, 12, 12, 1)
    found = random_crop_and_flip(clips, 10, seeded())
    assert found.shape == (64, 3, 10, 10, 1) and found.dtype == torch.uint8
    assert (found == found[:, :1]).all()
    seen = set()
    for clip in found[:, 0, :, :, 0].int():
        flipped = bool(clip[0, 0] > clip[0, 1])
        upright = clip.flip(1) if flipped else clip
        top, left = divmod(int(upright[0, 0]), 20)
        assert torch.equal(upright, place[top : top + 10, left : left + 10].int())
        seen.add((top, left, flipped))
    # 3 x 3 places, mirrored or not.
    assert len(seen) > 12


def test_random_crops_follow_their_generator():
    clips = pictures(8, 2, 12, 12, 1)
    first, again, other = (random_crop_and_flip(clips, 10, seeded(s)) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
