"""Pooling of frames: mean and deviation, attention; moments that are computed once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.core.headers import ClassifierHeader
from avaffect.models.encoder import Frames, Tokens
from avaffect.models.heads.base import HeadInput
from avaffect.models.heads.labels import LabelHead, Readout
from avaffect.models.heads.linear import (
    DenseHeadConfiguration,
    LinearHead,
    LinearHeadConfiguration,
)
from avaffect.models.hubert import Hubert
from avaffect.models.layer_sum import LayerSumConfiguration
from avaffect.models.pooling import AttentiveStatistics, mean_and_std, moments_of
from avaffect.objectives.supervised import squares
from avaffect.training import checkpoint

SHORT = ("--mode", "frozen", "--epochs", 2, "--select", "none", "--batch-utterances", 8)


def frames(dim: int, seed: int = 0) -> Frames:
    """Three utterances, the last without a frame."""
    torch.manual_seed(seed)
    found = Frames(torch.randn(3, 5, dim, dtype=torch.float64), torch.tensor([5, 3, 0]))
    return found.with_values(found.values * found.valid[..., None])


def test_attention_is_that_of_a_naive_loop() -> None:
    """Okabe et al. 2018, equations 3 to 6, with gradients."""
    given = frames(3)
    pool = AttentiveStatistics(3, 4).double()
    torch.testing.assert_close(pool(given), mean_and_std(given))
    torch.nn.init.normal_(pool.score.weight)
    values = given.values.clone().requires_grad_()
    found = pool(given.with_values(values))
    w, b = pool.hidden.weight, pool.hidden.bias
    v, k = pool.score.weight[0], pool.score.bias[0]
    rows = []
    for row, length in enumerate(given.lengths.tolist()):
        h = [values[row, step] for step in range(length)]
        scores = [torch.dot(v, torch.tanh(w @ one + b)) + k for one in h]
        total = sum((score.exp() for score in scores), torch.zeros((), dtype=torch.float64))
        mean = sum((s.exp() / total * one for s, one in zip(scores, h)), torch.zeros(3).double())
        squares = sum(
            (s.exp() / total * one * one for s, one in zip(scores, h)), torch.zeros(3).double()
        )
        rows.append(torch.cat([mean, (squares - mean * mean).clamp(min=1e-8).sqrt()]))
    expected = torch.stack(rows)
    torch.testing.assert_close(found, expected)
    given_by = torch.randn_like(expected)
    wrt = (values, w, pool.score.weight)
    for mine, naive in zip(
        torch.autograd.grad((found * given_by)[:2].sum(), wrt, retain_graph=True),
        torch.autograd.grad((expected * given_by)[:2].sum(), wrt),
        strict=True,
    ):
        torch.testing.assert_close(mine, naive)


def test_attention_is_penalised_a_hundred_times_as_much() -> None:
    """Its weights, not its biases."""
    inputs = (HeadInput("encoder", 2, 10.0), HeadInput("more", 3, 5.0))
    head = LinearHead(LinearHeadConfiguration(inputs, 4, pooling="attentive", attention=4)).double()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    weights = {name: p for name, p in head.named_parameters() if p.ndim > 1}
    expected = 0.0
    for name, weight in weights.items():
        factor = 100 if name.startswith("attention.") else 1
        expected += factor * sum(w**2 for w in weight.flatten().tolist())
    found = squares(head)
    assert len(weights) == 5 and found.item() == pytest.approx(expected, rel=1e-12)
    weight = weights["attention.0.hidden.weight"]
    (gradient,) = torch.autograd.grad(found, weight)
    torch.testing.assert_close(gradient, 200 * weight.detach())


def test_mean_and_deviation_leave_padding_out() -> None:
    given = frames(3)
    found = mean_and_std(given)
    for row, length in enumerate(given.lengths.tolist()[:2]):
        own = given.values[row, :length]
        expected = torch.cat([own.mean(dim=0), own.std(dim=0, correction=0)])
        torch.testing.assert_close(found[row], expected)
    tokens = Tokens(given.values.flip(1), given.valid.flip(1))
    torch.testing.assert_close(mean_and_std(tokens), found)


def label_head(layers: int, pooling: str, standardise: bool = True) -> LabelHead:
    """Two inputs, the first with layers."""
    inputs = (HeadInput("encoder", 2, 10.0), HeadInput("more", 3, 5.0))
    head = LinearHead(
        LinearHeadConfiguration(inputs, 4, pooling=pooling, standardise=standardise, attention=4)
    )
    summed = LayerSumConfiguration("encoder", layers, 2, standardise=standardise)
    return LabelHead.of(head, (Readout("emotion", "class", 4),), summed).double()


@torch.no_grad()
def test_moments_are_enough_for_the_deviation_of_a_sum_of_layers() -> None:
    """What is computed once gives what frames give, standardised too; of lacking inputs as well."""
    head = label_head(3, "mean-std")
    assert head.layer_sum is not None and head.head.pooled is not None
    torch.nn.init.normal_(head.layer_sum.logits)
    head.layer_sum.standardisation.set(torch.randn(6), torch.rand(6) + 0.5)
    head.head.pooled.set(torch.randn(10), torch.rand(10) + 0.5)
    own, more = frames(6), frames(3, seed=1)
    more.lengths[0] = 0
    rows = torch.cat([moments_of(own, 3), moments_of(more, 1)], dim=1)
    rows[2, : 6 + 6 * 2] = torch.nan
    rows[[0, 2], 6 + 6 * 2 :] = torch.nan
    once = head(head.of_rows(rows)).utterance
    torch.testing.assert_close(once, head({"encoder": own, "more": more}).utterance)
    assert once.unique(dim=0).shape[0] == 3


@pytest.mark.parametrize("pooling", ["mean", "mean-std", "attentive"])
@torch.no_grad()
def test_padding_and_neighbours_change_nothing(pooling: str) -> None:
    head = label_head(2, pooling, standardise=False).eval()
    own, more = frames(4), frames(3, seed=1)
    together = head({"encoder": own, "more": more}).utterance
    for row in range(2):
        alone = {
            name: Frames(f.values[row : row + 1, : int(f.lengths[row])], f.lengths[row : row + 1])
            for name, f in (("encoder", own), ("more", more))
        }
        torch.testing.assert_close(head(alone).utterance[0], together[row])


def test_hidden_layers_are_as_many_as_are_asked_for() -> None:
    inputs = (HeadInput("encoder", 6, 10.0),)
    made = LinearHead(DenseHeadConfiguration(inputs, 2, hidden=5, hidden_layers=3))
    shapes: list[tuple[int, ...]] = [tuple(p.shape) for p in made.parameters() if p.ndim == 2]
    assert shapes == [(5, 6), (5, 5), (5, 5), (2, 5)]
    found: Tensor = made({"encoder": frames(6).with_values(frames(6).values.float())}).utterance
    assert found.shape == (3, 2)


def test_a_layer_norm_stands_before_each_relu() -> None:
    inputs = (HeadInput("encoder", 6, 10.0),)
    plain, normed = (
        LinearHead(DenseHeadConfiguration(inputs, 2, hidden=5, hidden_layers=2, layer_norm=norm))
        for norm in (False, True)
    )
    assert not any(isinstance(layer, nn.LayerNorm) for layer in plain.layers)
    kinds = [type(layer) for layer in normed.layers if not isinstance(layer, nn.Dropout)]
    assert kinds == [nn.Linear, nn.LayerNorm, nn.ReLU] * 2 + [nn.Linear]


# -- finetune -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [("--pooling", "mean-std", "--layers", "weighted"), ("--pooling", "attentive"),
     ("--head", "mlp", "--hidden", 8, "--hidden-layers", 2, "--head-option", "layer_norm=true"),
     ("--pooling", "attentive", "--layers", "weighted", "--mode", "fine-tuned")],
)  # fmt: skip
def test_each_pooling_is_trained_and_predicted_with(chain: Path, options: tuple) -> None:
    words = ("finetune", "a.h5", "--encoder", "fav.safetensors", *SHORT, *options)
    invoke(chain, *words, "-o", "c.safetensors")
    header, tensors = checkpoint.read(chain / "c.safetensors", ClassifierHeader)
    invoke(chain, "predict", "a.h5", "--model", "c.safetensors", "-o", "p.jsonl")
    lines = (chain / "p.jsonl").read_text(encoding="utf-8").splitlines()[1:-1]
    scores = np.array([list(json.loads(line)["scores"].values()) for line in lines])
    assert np.isfinite(scores).all() and len(np.unique(scores[:, 0])) > 1
    known = tensors.get("runs.0.head.head.pooled.std")
    assert (known is not None) == ("--pooling" in options and header.mode == "frozen")
    assert known is None or (known != 1).any()


def test_frames_of_a_frozen_encoder_are_computed_once(
    chain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the number of epochs, and all layers in one pass."""
    seen: list[str] = []
    every_layer = Hubert.every_layer

    def counted(encoder: Hubert, batch: Batch) -> Frames:
        seen.extend(batch.ids)
        return every_layer(encoder, batch)

    monkeypatch.setattr(Hubert, "every_layer", counted)
    words = ("finetune", "a.h5", "--encoder", "fav.safetensors", "--mode", "frozen",
             "--layers", "weighted", "--head", "gru", "--hidden", 4, "--epochs", 3)  # fmt: skip
    invoke(chain, *words, "-o", "once.safetensors")
    assert len(seen) == len(set(seen)) == 24
    assert not (chain / "once.safetensors.state").exists()
    monkeypatch.setattr("avaffect.recipes.downstream.frozen_frames.MOST_BYTES", 10)
    assert "computed anew" in invoke(chain, *words, "-o", "anew.safetensors").stderr
    assert len(seen) > 3 * 24


def test_a_pooling_of_traces_is_refused(tmp_path: Path) -> None:
    from two_stores import write

    write(tmp_path)
    words = ("finetune", "slow.h5", "--label", "arousal", "--pooling", "mean-std")
    invoke(tmp_path, *words, status=2)
