from __future__ import annotations

import pytest
import torch

from avaffect.models.dropout import Dropout, dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_the_share_of_zeros_and_the_mean_are_right(probability, dtype):
    torch.manual_seed(0)
    x = torch.ones(400, 501, dtype=dtype)
    y = dropout(x, probability).float()
    zeros = (y == 0).float().mean().item()
    assert zeros == pytest.approx(probability, abs=0.005)
    kept = y[y != 0]
    torch.testing.assert_close(
        kept, torch.full_like(kept, 1 / (1 - probability)), rtol=5e-3, atol=0
    )


def test_elements_are_dropped_independently():
    torch.manual_seed(0)
    kept = (dropout(torch.ones(200_003), 0.5) != 0).float() - 0.5
    for distance in (1, 2, 3, 4, 8):
        assert (kept[:-distance] * kept[distance:]).mean().abs() < 0.003


def test_the_gradient_passes_where_the_value_did():
    x = torch.randn(33, 7, requires_grad=True)
    y = dropout(x, 0.3)
    y.sum().backward()
    torch.testing.assert_close(x.grad * x, y)


def test_the_seed_decides_and_evaluation_drops_nothing():
    module = Dropout(0.4)
    x = torch.randn(5, 9)
    torch.manual_seed(3)
    first = module(x)
    torch.manual_seed(3)
    assert torch.equal(module(x), first)
    assert torch.equal(module.eval()(x), x)
    assert dropout(x, 0.0) is x
    assert not dropout(x, 1.0).any()
    assert dropout(torch.zeros(0, 4), 0.5).shape == (0, 4)
