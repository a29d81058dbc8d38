"""Losses of continuous affect: golden numbers, naive loops, gradients, what is not known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from avaffect.evaluation.concordance import ccc
from avaffect.objectives.losses.binned_cross_entropy import binned_cross_entropy, bins
from avaffect.objectives.losses.concordance import concordance, concordance_loss
from avaffect.objectives.losses.cost_sensitive_cross_entropy import cost_sensitive_cross_entropy
from avaffect.objectives.losses.mean_absolute_error import mean_absolute_error
from avaffect.objectives.losses.mean_squared_error import mean_squared_error

CENTRES = torch.tensor([-0.75, -0.1, 0.2, 0.9], dtype=torch.float64)
Loss = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]

LOSSES: dict[str, tuple[Loss, tuple[int, ...]]] = {
    "ccc": (concordance_loss, ()),
    "mse": (mean_squared_error, ()),
    "mae": (mean_absolute_error, ()),
    "ce": (lambda x, y, known: binned_cross_entropy(x, y, known, CENTRES), (4,)),
    "ncce": (lambda x, y, known: cost_sensitive_cross_entropy(x, y, known, CENTRES), (4,)),
}


def example(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    """Predictions (3, 5, ...), gold (3, 5) with NaN, and where it is known."""
    random = torch.Generator().manual_seed(3)
    prediction = torch.randn(3, 5, *shape, generator=random, dtype=torch.float64)
    gold = torch.rand(3, 5, generator=random, dtype=torch.float64) * 2 - 1
    gold[0, 1] = gold[2, 4] = gold[2, 3] = torch.nan
    # Padding is not known either, though there is a number.
    known = ~gold.isnan()
    known[1, 4] = False
    return prediction.to(dtype).requires_grad_(), gold.to(dtype), known


def pairs(prediction: Tensor, gold: Tensor, known: Tensor) -> list[tuple[np.ndarray, float]]:
    return list(zip(prediction.detach().numpy()[known.numpy()], gold[known].tolist()))


def naive(name: str, found: list[tuple[np.ndarray, float]]) -> float:
    """Each formula, as a loop over the known values; a mean, for ccc the value itself."""
    if name == "ccc":
        return 1 - ccc(*(np.array(side) for side in zip(*found)))
    total = 0.0
    for x, y in found:
        if name in ("mse", "mae"):
            total += abs(x - y) ** (2 if name == "mse" else 1)
            continue
        probabilities = np.exp(x) / np.exp(x).sum()
        right = int(np.abs(CENTRES.numpy() - y).argmin())
        cost = 1.0
        if name == "ncce":
            onehot = np.eye(4)[right]
            cost += abs(
                sum(K * (a - b) for K, a, b in zip(CENTRES.tolist(), onehot, probabilities))
            )
        total -= cost * math.log(probabilities[right])
    return total / len(found)


@pytest.mark.parametrize("name", LOSSES)
def test_naive_loops(name: str) -> None:
    loss, shape = LOSSES[name]
    prediction, gold, known = example(shape)
    total, count = loss(prediction, gold, known)
    expected = naive(name, pairs(prediction, gold, known))
    assert (total / count).item() == pytest.approx(expected, abs=1e-7)
    assert count.item() == (1 if name == "ccc" else 11)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_in_float64(name: str) -> None:
    loss, shape = LOSSES[name]
    prediction, gold, known = example(shape)
    assert torch.autograd.gradcheck(lambda x: loss(x, gold, known)[0], (prediction,))
    loss(prediction, gold, known)[0].backward()
    assert torch.isfinite(prediction.grad).all() and not prediction.grad[~known].any()
    assert prediction.grad[known].any()


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_known_weighs_nothing(name: str) -> None:
    loss, shape = LOSSES[name]
    prediction, gold, _ = example(shape)
    total, count = loss(prediction, gold, torch.zeros_like(gold, dtype=torch.bool))
    assert (total.item(), count.item()) == (0, 0)
    total.backward()
    assert not prediction.grad.any()


@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_is_raised(name: str) -> None:
    loss, shape = LOSSES[name]
    prediction, gold, known = example(shape, torch.bfloat16)
    total, count = loss(prediction, gold, known)
    expected = naive(name, pairs(prediction.float(), gold.float(), known))
    assert total.dtype == torch.float32
    assert (total / count).item() == pytest.approx(expected, rel=1e-3)


def test_ncce_golden() -> None:
    logits = torch.log(torch.tensor([[0.2, 0.3, 0.5]], dtype=torch.float64))
    centroids = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    gold, known = torch.tensor([1.0], dtype=torch.float64), torch.tensor([True])
    entropy, _ = binned_cross_entropy(logits, gold, known, centroids)
    found, count = cost_sensitive_cross_entropy(logits, gold, known, centroids)
    assert entropy.item() == pytest.approx(0.693147, abs=1e-6)
    assert found.item() == pytest.approx(1.178350, abs=1e-6) and count.item() == 1
    assert (found / entropy).item() == pytest.approx(1.7, abs=1e-9)


def test_bins_of_equal_width() -> None:
    """Those that a histogram finds; what lies beyond the range is in the outer ones."""
    edges = np.linspace(-1, 0.6, 21)
    centres = torch.from_numpy((edges[1:] + edges[:-1]) / 2)
    values = np.random.default_rng(0).uniform(-1, 0.6, 500)
    found = bins(torch.from_numpy(values), torch.ones(500, dtype=torch.bool), centres)
    np.testing.assert_array_equal(found, np.digitize(values, edges) - 1)
    beyond = bins(torch.tensor([-9.0, 9.0, torch.nan]), torch.tensor([True, True, False]), centres)
    assert beyond.tolist() == [0, 19, -1]


@pytest.mark.parametrize(
    ("prediction", "gold", "value"),
    [
        ([1, 2, 3, 4, 5], [1.1, 2.2, 2.9, 4.1, 5.3], 0.9922928709),
        ([2.5, 0, 2, 8], [3, -0.5, 2, 7], 0.9767891683),
        ([0, 1, 1], [0, 1, 2], 0.6666666667),
        ([1, 2, 3, 4, 5], [2, 3, 4, 5, 6], 0.8),
        ([-2, -1, 0, 1, 2], [-4, -2, 0, 2, 4], 0.8),
        ([1, 2, 3, 4, 5], [5, 4, 3, 2, 1], -1),
        ([0.5, 0.5, 0.5], [0.1, 0.4, 0.2], 0),
    ],
)
def test_concordance_golden(prediction: list, gold: list, value: float) -> None:
    x, y = (torch.tensor(side, dtype=torch.float64) for side in (prediction, gold))
    known = torch.ones(len(x), dtype=torch.bool)
    assert concordance(x, y, known).item() == pytest.approx(value, abs=1e-6)
    assert concordance_loss(x, y, known)[0].item() == pytest.approx(1 - value, abs=1e-6)
