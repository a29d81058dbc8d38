from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from avaffect.models.resnet import VideoResNet18, clip_windows


def naive_stem(model: VideoResNet18, clip: Tensor) -> Tensor:
    """(C, T, H, W) -> (T, width, h, w) by the three-dimensional operations of the papers."""
    convolution, normalisation, activation, _ = model.frontend3D
    norm = nn.BatchNorm3d(normalisation.num_features).eval()
    norm.load_state_dict(normalisation.state_dict())
    x = activation(norm(convolution(clip[None])))
    return nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))(x)[0].transpose(0, 1)


def ready(model: VideoResNet18) -> VideoResNet18:
    """In evaluation mode, with statistics as after some training."""
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    return model.eval()


@pytest.mark.parametrize(
    ("channels", "size", "activation"), [(1, 88, "prelu"), (3, 64, "relu"), (3, 45, "prelu")]
)
@torch.no_grad()
def test_packed_clips_give_what_each_gives_in_three_dimensions(channels, size, activation):
    torch.manual_seed(0)
    model = ready(VideoResNet18(8, channels, activation))
    clips = torch.randn(3, 7, channels, size, size)
    lengths = torch.tensor([7, 1, 4])
    valid = torch.arange(7)[None] < lengths[:, None]
    found = model(clips[valid], clip_windows(valid)).split(lengths.tolist())
    for clip, length, frames in zip(clips, lengths, found):
        stem = naive_stem(model, clip[:length].transpose(0, 1))
        expected = model.trunk(stem).mean((2, 3))
        assert frames.shape == (length, model.dim) == expected.shape
        torch.testing.assert_close(frames, expected, atol=1e-5, rtol=1e-5)


def test_windows_stay_within_their_clip():
    valid = torch.tensor([[True, True, True], [False, False, False], [True, False, False]])
    assert clip_windows(valid).tolist() == [
        [-1, -1, 0, 1, 2],
        [-1, 0, 1, 2, -1],
        [0, 1, 2, -1, -1],
        [-1, -1, 3, -1, -1],
    ]


def test_windows_show_the_pictures_that_stand_in():
    valid = torch.tensor([[True, True, False], [True, True, True]])
    source = torch.tensor([[1, -1, 2], [2, 1, 1]])
    assert clip_windows(valid, source).tolist() == [
        [-1, -1, 1, -1, -1],
        [-1, 1, -1, -1, -1],
        [-1, -1, 4, 3, 3],
        [-1, 4, 3, 3, -1],
        [4, 3, 3, -1, -1],
    ]


def test_the_published_size():
    # torchvision's ResNet-18 without its classifier has 11,176,512 parameters; the stem has 15,680
    # weights in place of 9,408, and the 17 activations a slope for each of their 3,904 channels.
    count = sum(p.numel() for p in VideoResNet18(64, 1, "prelu").parameters())
    assert count == 11_176_512 - 9_408 + 15_680 + 3_904


@pytest.mark.parametrize("width", [8, 64])
def test_every_weight_learns_and_bfloat16_stays_close(width):
    """Kernels for few channels have gone wrong in bfloat16 before, by more than the whole sum."""
    torch.manual_seed(0)
    model = ready(VideoResNet18(width, 1))
    pictures = torch.randn(12, 1, 44, 44)
    windows = clip_windows(torch.ones(2, 6, dtype=torch.bool))
    frames, gradients = [], []
    for half in (False, True):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            found = model(pictures, windows).float()
        found.square().sum().backward()
        frames.append(found.detach())
        gradients.append([p.grad.clone() for p in model.parameters()])
    assert (frames[1] - frames[0]).norm() < 0.02 * frames[0].norm()
    for (name, _), full, half in zip(model.named_parameters(), *gradients):
        assert full.norm() > 0, name
        assert (half - full).norm() < 0.3 * full.norm(), name


def test_unknown_activations_are_refused():
    with pytest.raises(ValueError, match="expected 'prelu' or 'relu'"):
        VideoResNet18(8, 1, "gelu")
