"""The layer of GRU with passes of its own: torch's numbers and gradients."""

from __future__ import annotations

import pytest
import torch

from avaffect.models.gated_recurrent import GatedRecurrent


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def outcome(layer: torch.nn.Module, x: torch.Tensor, weight: torch.Tensor) -> list[torch.Tensor]:
    """Frames, last state, and the gradients of the input and of each parameter."""
    layer.zero_grad()
    x = x.clone().requires_grad_()
    frames, last = layer(x)
    (frames * weight).sum().backward()
    return [frames.detach(), last.detach(), x.grad, *(p.grad.clone() for p in layer.parameters())]


def pair(inputs: int, hidden: int) -> tuple[torch.nn.GRU, GatedRecurrent]:
    """torch's layer and ours from one seed: the same weights under the same names."""
    torch.manual_seed(5)
    torchs = torch.nn.GRU(inputs, hidden, batch_first=True)
    torch.manual_seed(5)
    ours = GatedRecurrent(inputs, hidden)
    assert ours.state_dict().keys() == torchs.state_dict().keys()
    assert all(map(torch.equal, ours.parameters(), torchs.parameters()))
    return torchs, ours


@pytest.mark.parametrize(("clips", "frames"), [(1, 1), (3, 8), (2, 29)])
def test_a_layer_is_torchs(clips, frames):
    torchs, ours = (layer.double() for layer in pair(6, 5))
    x = torch.randn(clips, frames, 6, dtype=torch.float64, generator=generator())
    weight = torch.randn(clips, frames, 5, dtype=torch.float64, generator=generator(1))
    for found, expected in zip(outcome(ours, x, weight), outcome(torchs, x, weight), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)
    assert ours(x)[0].grad_fn.name() == "_RecurrenceBackward"
    with torch.no_grad():
        torch.testing.assert_close(ours(x)[0], torchs(x)[0], rtol=0, atol=0)


def test_gradients_in_bfloat16_stay_near_those_in_float32():
    """torch's own lose their direction over long clips: it adds up in bfloat16, frame by frame."""
    torchs, ours = pair(20, 48)
    x = torch.randn(3, 600, 20, generator=generator())
    weight = torch.ones(3, 600, 48)

    def distance(found: list[torch.Tensor], expected: list[torch.Tensor]) -> list[float]:
        return [float((a - b).norm() / b.norm()) for a, b in zip(found, expected, strict=True)]

    expected = outcome(torchs, x, weight)
    assert max(distance(outcome(ours, x, weight), expected)) < 1e-5
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = outcome(ours, x, weight)
    assert all(part.dtype == torch.float32 for part in found)
    assert max(distance(found, expected)) < 0.01


def test_gradients_that_fade_end_at_zero():
    """Numbers too small to be normal make products many times as slow."""
    torchs, ours = pair(6, 16)
    x = torch.randn(2, 400, 6, generator=generator())
    weight = torch.zeros(2, 400, 16)
    weight[0, -1] = weight[1, 200] = 1.0
    found, expected = outcome(ours, x, weight), outcome(torchs, x, weight)
    for ours_, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours_, theirs, rtol=1e-4, atol=1e-7)

    def denormal(gradient: torch.Tensor) -> torch.Tensor:
        return (gradient != 0) & (gradient.abs() < torch.finfo(torch.float32).tiny)

    assert denormal(expected[2]).any()
    assert not denormal(found[2]).any()
