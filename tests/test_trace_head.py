"""Heads for labels over time: what their outputs mean, their bins, and the losses they learn by."""

from __future__ import annotations

import dataclasses
import re
from itertools import combinations

import numpy as np
import pytest
import torch
from label_heads import inputs_of, linear, named
from label_heads import recurrent as recurrent_head
from sklearn.cluster import KMeans
from test_trace_losses import LOSSES as NAIVE_LOSSES

from avaffect.core.batch import Batch
from avaffect.core.errors import DataError, UsageError
from avaffect.core.registry import located
from avaffect.evaluation.binning import clusters, equal_width
from avaffect.evaluation.concordance import ccc
from avaffect.models import registry
from avaffect.models.encoder import Frames
from avaffect.models.given import GivenFeatures, GivenFeaturesConfiguration
from avaffect.models.heads.labels import LabelHead, Readout
from avaffect.objectives.base import Context
from avaffect.objectives.criteria import TraceCriterion
from avaffect.objectives.supervised import Supervised
from avaffect.settings.label_losses import LOSSES, loss_of, parse_losses
from avaffect.settings.learned_labels import LearnedLabels

AROUSAL_VALENCE = ("arousal", "valence")


def trace_head(
    values: tuple[bool, ...], bins: tuple[int, ...], dim: int = 1, recurrent: bool = False
) -> LabelHead:
    torch.manual_seed(0)
    outputs = sum(values) + sum(bins)
    beneath = recurrent_head(dim, outputs, 4, 1) if recurrent else linear(dim, outputs)
    labels = (
        Readout(name, "trace", value=value, bins=count)
        for name, value, count in zip((*AROUSAL_VALENCE, "dominance"), values, bins)
    )
    return LabelHead.of(beneath, tuple(labels))


def predicted(head: LabelHead, outputs: torch.Tensor) -> torch.Tensor:
    """(..., outputs) -> (..., labels)"""
    return torch.stack([head.trace(outputs, n) for n in range(len(head.labels))], dim=-1)


# -- what outputs mean ----------------------------------------------------------------------------


def test_values_and_bins_stand_label_by_label() -> None:
    head = trace_head((True, False, True), (2, 3, 0))
    head.centres(0).copy_(torch.tensor([-1.0, 1.0]))
    head.centres(1).copy_(torch.tensor([-1.0, 0.0, 1.0]))
    probabilities = torch.tensor([0.2, 0.3, 0.5])
    outputs = torch.cat([torch.tensor([0.7, 5.0, 6.0]), probabilities.log(), torch.tensor([-0.4])])
    assert head.value(outputs, 0).item() == pytest.approx(0.7)
    assert head.scores(outputs, 0).tolist() == [5, 6]
    assert head.scores(outputs, 1).tolist() == pytest.approx(probabilities.log().tolist())
    # Where there is no value, what the bins make one expect: 0.5 - 0.2.
    expected = torch.tensor([0.7, 0.3, -0.4])
    torch.testing.assert_close(predicted(head, outputs), expected)
    torch.testing.assert_close(predicted(head, outputs.expand(2, 5, -1))[1, 4], expected)


@torch.no_grad()
@pytest.mark.parametrize("recurrent", [False, True])
def test_predictions_over_time(recurrent: bool) -> None:
    head = trace_head((False, True), (3, 0), dim=5, recurrent=recurrent)
    head.centres(0).copy_(torch.tensor([3.0, 4.0, 5.0]))
    given = Frames(torch.randn(2, 6, 5), torch.tensor([6, 2]))
    said = head(named(given))
    found, outputs = head.traces(said), said.over_time
    torch.testing.assert_close(found.values[0], predicted(head, outputs.values)[0])
    assert (found.values[0, :, 0] > 3).all() and found.lengths.tolist() == [6, 2]
    # The centres' mean is not that of what is not there.
    assert not found.values[1, 2:].any()
    # The description builds its like.
    again = registry.build(registry.describe(head))
    again.load_state_dict(head.state_dict())
    torch.testing.assert_close(again.traces(again(named(given))).values, found.values)


def test_a_head_of_other_outputs_is_refused() -> None:
    with pytest.raises(ValueError, match="4 outputs, but 3 are used"):
        LabelHead.of(linear(1, 4), (Readout("arousal", "trace", value=True, bins=2),))


# -- bins -----------------------------------------------------------------------------------------


def test_bins_of_equal_width_fill_the_range() -> None:
    found = equal_width(np.array([0.2, -0.6, 0.0, 1.0]), 4)
    np.testing.assert_allclose(found, [-0.4, 0.0, 0.4, 0.8], atol=1e-12)


def test_clusters_are_those_of_k_means() -> None:
    random = np.random.default_rng(1)
    values = np.concatenate([random.normal(m, 0.05, 80) for m in (-0.7, -0.2, 0.1, 0.6)])
    found = clusters(values, 4)
    other = KMeans(4, n_init=20, random_state=0).fit(values[:, None])
    np.testing.assert_allclose(found, np.sort(other.cluster_centers_[:, 0]), atol=1e-6)
    # The mean of what is nearest to each, in whatever order values come.
    for count in (7, 20):
        found = clusters(values, count)
        nearest = np.abs(values[:, None] - found).argmin(axis=1)
        means = [values[nearest == k].mean() for k in range(count)]
        np.testing.assert_allclose(found, means)
        assert (np.diff(found) > 0).all()
        np.testing.assert_array_equal(clusters(random.permutation(values), count), found)
    # As many values as clusters are the clusters.
    np.testing.assert_allclose(clusters(np.array([3.0, 1, 2, 1]), 3), [1, 2, 3])
    with pytest.raises(DataError, match="has 2 different values, too few for 3 clusters"):
        clusters(np.array([0.5, 0.1, 0.5]), 3)


def squares(values: np.ndarray, centres: np.ndarray) -> float:
    return float(((values[:, None] - centres) ** 2).min(axis=1).sum())


def test_clusters_are_the_best_there_are() -> None:
    """Of every division of the ordered values; of many values, better than restarts find."""
    random = np.random.default_rng(2)
    values = np.sort(np.concatenate([random.normal(0, 1e-3, 8), random.uniform(0.2, 1, 5), [1, 1]]))
    for count in (2, 4, 6):
        best = min(
            sum(part.var() * len(part) for part in np.split(values, list(bounds)))
            for bounds in combinations(range(1, len(values)), count - 1)
        )
        assert squares(values, clusters(values, count)) == pytest.approx(best, rel=1e-9)
    # Most of the values in one place, as of a label that seldom moves.
    values = np.concatenate([random.normal(-0.5, 0.02, 3000), random.normal(0.1, 0.1, 300)])
    other = KMeans(20, n_init=10, random_state=0).fit(values[:, None])
    assert squares(values, clusters(values, 20)) < 1.001 * other.inertia_


# -- the objective --------------------------------------------------------------------------------


def test_every_loss_has_its_function_and_is_in_the_help() -> None:
    of_kind: dict[str, list[str]] = {}
    for name in LOSSES:
        for kind, place in loss_of(name).functions.items():
            of_kind.setdefault(kind, []).append(name)
            assert callable(located(place))
    assert of_kind == {
        "class": ["ce", "focal"], "distribution": ["kl", "ce", "focal"],
        "scalar": ["ccc", "mse", "mae"], "trace": [n for n in LOSSES if n in {*NAIVE_LOSSES, "kl"}],
    }  # fmt: skip
    (option,) = (field for field in dataclasses.fields(LearnedLabels) if field.name == "loss")
    words = re.findall(r"[a-z]+", option.metadata["help"])
    assert set(LOSSES) <= set(words)


def objective_of(losses: dict[str, dict[str, float]], head: LabelHead) -> Supervised:
    encoder = GivenFeatures(GivenFeaturesConfiguration(1, 10.0))
    criteria = [TraceCriterion(n, d, weights) for d, (n, weights) in enumerate(losses.items())]
    return Supervised(head, criteria, inputs_of(encoder))


def batch_of(values: torch.Tensor, lengths: list[int], **labels: torch.Tensor) -> Batch:
    return Batch(
        [str(row) for row in range(len(lengths))], {"features": values[..., None]},
        {"features": torch.tensor(lengths)}, labels=labels,
    )  # fmt: skip


def test_the_loss_counts_what_is_known() -> None:
    """Traces shorter or longer than the frames, unknown steps, and a label that nobody has."""
    head = trace_head((True, True), (0, 0))
    with torch.no_grad():
        head.head.layers[1].weight.copy_(torch.tensor([[1.0], [0.0]]))
        head.head.layers[1].bias.zero_()
    values = torch.tensor([[1.0, 2.0, 4.0, 9.0], [0.0, 3.0, 0.0, 0.0]])
    gold = torch.tensor([[1.0, 2.0, torch.nan], [1.0, 2.0, 7.0]])
    batch = batch_of(values, [4, 2], arousal=gold, valence=torch.full((2, 3), torch.nan))
    objective = objective_of({name: {"ccc": 1.0, "mse": 2.0} for name in AROUSAL_VALENCE}, head)
    step = objective(batch, Context())
    expected = ccc(np.array([1.0, 2.0, 0.0, 3.0]), np.array([1.0, 2.0, 1.0, 2.0]))
    loss, count = step.losses["ccc_arousal"]
    assert loss.item() == pytest.approx(1 - expected, abs=1e-6) and count.item() == 1
    value, counted = step.metrics["concordance_arousal"]
    assert value.item() == pytest.approx(expected, abs=1e-6) and counted.item() == 1
    assert [part.item() for part in step.losses["mse_arousal"]] == [2.0, 4]
    for loss in ("ccc", "mse"):
        assert [part.item() for part in step.losses[f"{loss}_valence"]] == [0.0, 0.0]
    assert objective.coupled and objective.weights["mse_valence"] == 2.0


def test_losses_of_each_label_are_its_own() -> None:
    head = trace_head((True, False), (0, 3))
    head.centres(1).copy_(torch.tensor([-0.5, 0.0, 0.5]))
    losses = {"arousal": {"ccc": 0.66, "mse": 0.34}, "valence": {"ncce": 1.0}}
    objective = objective_of(losses, head)
    assert objective.weights == {"ccc_arousal": 0.66, "mse_arousal": 0.34, "ncce_valence": 1.0}
    gold = torch.rand(2, 4) - 0.5
    batch = batch_of(torch.randn(2, 4), [4, 3], arousal=gold, valence=-gold)
    step = objective(batch, Context())
    assert list(step.losses) == list(objective.weights)
    assert [count.item() for _, count in step.losses.values()] == [1, 7, 7]
    # The metric is of what would be predicted, here the mean of bins.
    known = torch.ones(2, 4, dtype=torch.bool)
    known[1, 3] = False
    said = head.traces(head(objective.inputs(batch))).values[..., 1]
    expected = ccc(said[known].detach().numpy(), -gold[known].numpy())
    assert step.metrics["concordance_valence"][0].item() == pytest.approx(expected, abs=1e-5)
    total = sum(objective.weights[n] * s / c for n, (s, c) in step.losses.items())
    total.backward()
    assert all(row.any() for row in head.head.layers[1].weight.grad)


# -- how losses are spelled -----------------------------------------------------------------------


TRACES = dict.fromkeys(AROUSAL_VALENCE, "trace")
KINDS = {"emotion": "class", "votes": "distribution", "arousal": "scalar", "valence": "trace"}


def test_losses_by_kind_of_label() -> None:
    found = parse_losses((), KINDS)
    defaults = {"emotion": "ce", "votes": "kl", "arousal": "ccc", "valence": "ccc"}
    assert found == {name: {loss: 1.0} for name, loss in defaults.items()}
    # For all labels that have it, and for one.
    found = parse_losses(("mse=2", "emotion:ce=0.5", "votes:ce=1"), KINDS)
    assert found == {"emotion": {"ce": 0.5}, "votes": {"ce": 1.0},
                     "arousal": {"mse": 2.0}, "valence": {"mse": 2.0}}  # fmt: skip
    for text in ("emotion:ccc=1", "arousal:ce=1", "votes:mse=1", "arousal:kl=1"):
        with pytest.raises(UsageError, match="its losses are"):
            parse_losses((text,), KINDS)
    with pytest.raises(UsageError, match="emotion is a class; its losses are ce"):
        parse_losses(("ccc=1",), {"emotion": "class"})


def test_losses_as_users_spell_them() -> None:
    alone = {"ccc": 1.0}
    assert parse_losses((), TRACES) == {"arousal": alone, "valence": alone}
    both = {"ccc": 0.5, "ce": 0.25, "mse": 0.25}
    found = parse_losses(("ccc=0.5,ce=0.25,mse=0.25",), TRACES)
    assert found == {"arousal": both, "valence": both}
    found = parse_losses(("arousal: ccc=0.66, ce=.34", "valence:ccc=1"), TRACES)
    assert found == {"arousal": {"ccc": 0.66, "ce": 0.34}, "valence": alone}
    found = parse_losses(("ncce=1", "valence:mse=2"), TRACES)
    assert found == {"arousal": {"ncce": 1.0}, "valence": {"mse": 2.0}}


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (("l1=1",), "one or more of ccc, mse, mae, kl, ce, ncce"),
        (("",), "one or more of"),
        (("ccc=1,ccc=2",), "each once"),
        (("ccc",), "needs a weight"),
        (("ccc=much",), "needs a weight"),
        (("ccc=0",), "not above 0"),
        (("ccc=nan",), "not above 0"),
        (("mse=-1",), "not above 0"),
        (("ce=1,ncce=1",), "choose one"),
        (("dominance:ccc=1",), "'dominance' is no --label"),
        (("ccc=1", "mse=1"), "is given twice"),
        (("valence:ccc=1", "valence:mse=1"), "the loss of valence is given twice"),
    ],
)
def test_losses_that_are_refused(texts: tuple[str, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_losses(texts, TRACES)
