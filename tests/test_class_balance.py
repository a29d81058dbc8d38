"""finetune --class-weights, --sampler, --loss focal, --label-smoothing."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke
from label_heads import linear, of_class
from ranks import on_two_ranks
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_class_weight
from tiny_training import Killed, history, run, weights

from avaffect.core.batch import Batch
from avaffect.core.errors import UsageError
from avaffect.data.balanced_sampling import BalancedSampling
from avaffect.data.batches import SPREAD, Bucketed, Vectors
from avaffect.data.dataset import Dataset
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec, StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.models.pooling import as_frames
from avaffect.objectives.base import Context
from avaffect.objectives.criteria import ClassCriterion
from avaffect.objectives.emphasis import Emphasis
from avaffect.objectives.supervised import Supervised
from avaffect.recipes.downstream.tasks.class_task import ClassTask
from avaffect.recipes.downstream.tasks.distribution_task import DistributionTask
from avaffect.recipes.downstream.tasks.of_classes import class_weights
from avaffect.settings.class_balance import ClassBalance
from avaffect.settings.finetune import FinetuneSettings

# -- weights of classes ---------------------------------------------------------------------------


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    targets = np.repeat([0, 1, 3], [30, 9, 3])
    found = class_weights(ClassBalance("balanced"), np.bincount(targets).astype(float))
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=targets)
    np.testing.assert_allclose(found[[0, 1, 3]], expected)
    assert found[2] == 0


def test_effective_weights_follow_the_paper() -> None:
    counts, beta = np.array([900.0, 40.0, 7.0]), 0.99
    found = class_weights(ClassBalance("effective", beta), counts)
    effective = [sum(beta**j for j in range(int(n))) for n in counts]
    np.testing.assert_allclose(found * effective, found[0] * effective[0])
    assert (found * counts).sum() == pytest.approx(counts.sum())
    np.testing.assert_allclose(class_weights(ClassBalance("effective", 0.0), counts), 1.0)
    near = class_weights(ClassBalance("effective", 1 - 1e-9), counts)
    np.testing.assert_allclose(near, class_weights(ClassBalance("balanced"), counts), rtol=1e-4)


def test_tasks_weigh_by_their_own_utterances() -> None:
    balance = ClassBalance("balanced")
    task = ClassTask("emotion", ("a", "b"), np.array([0, 0, 0, 1, -1, 1]), {"ce": 1.0},
                     balance=balance)  # fmt: skip
    part = task.chosen(np.array([1, 1, 1, 1, 1, 0], dtype=bool))
    assert task.criterion(0, True).emphasis.class_weights == pytest.approx((5 / 6, 5 / 4))
    assert part.criterion(0, True).emphasis.class_weights == pytest.approx((4 / 6, 4 / 2))
    votes = DistributionTask("votes", ("a", "b"), np.array([[0.75, 0.25], [0.75, 0.25]]),
                             {"kl": 1.0}, balance=balance)  # fmt: skip
    assert votes.criterion(0, True).emphasis.class_weights == pytest.approx((2 / 3, 2.0))


def test_chance_is_that_of_the_weighted_loss() -> None:
    """With balanced weights, as with the sampler, the loss of chance is log 2."""
    targets = np.repeat([0, 1], [90, 10])
    lines = [{"step": n, "epoch": n, "classification": 0.69, "accuracy": 0.5} for n in range(40)]
    for balance, chance in (
        (ClassBalance(), False),
        (ClassBalance("balanced"), True),
        (ClassBalance(sampled=True), True),
    ):
        task = ClassTask("emotion", ("a", "b"), targets, {"ce": 1.0}, balance=balance)
        better = [{**line, "classification": 0.5, "accuracy": 0.99} for line in lines]
        assert task.ended(better, True)[1] is False
        assert task.ended(lines, True)[1] or not chance


# -- sampling -------------------------------------------------------------------------------------

GROUPS = np.repeat([0, 1, 2, -1], [40, 11, 3, 4])


def test_an_epoch_has_as_many_of_each_class() -> None:
    epochs = [BalancedSampling(GROUPS, 5).drawn(epoch) for epoch in range(6)]
    for drawn in epochs:
        assert len(drawn) == len(GROUPS)
        counts = Counter(GROUPS[drawn].tolist())
        assert (counts[0], counts[1], counts[2], counts[-1]) == (18, 18, 18, 4)
        each = Counter(drawn.tolist())
        assert {each[i] for i in range(40)} == {0, 1} and {each[i] for i in (40, 50)} <= {1, 2}
        assert [each[i] for i in range(51, 54)] == [6, 6, 6]
        assert [each[i] for i in range(54, 58)] == [1, 1, 1, 1]
    assert np.array_equal(epochs[2], BalancedSampling(GROUPS, 5).drawn(2))
    assert not np.array_equal(epochs[2], epochs[3])
    assert not np.array_equal(epochs[2], BalancedSampling(GROUPS, 6).drawn(2))
    # In six epochs of 18 every one of the 40 had a turn.
    assert set(np.concatenate(epochs).tolist()) >= set(range(40, 58))
    groups = np.array([0, 0, 0, 0, 1])
    assert sorted(np.bincount(groups[BalancedSampling(groups).drawn(0)])) == [2, 3]


class _Lengths(Dataset):
    def __init__(self, seconds: np.ndarray) -> None:
        super().__init__([str(n) for n in range(len(seconds))], {}, {})
        self.seconds = seconds

    def durations(self) -> np.ndarray:
        return self.seconds


def test_what_is_said_of_a_sample_is_what_is_drawn() -> None:
    """Of votes the class with most, and ties once."""
    shares = np.array([[0.6, 0.4]] * 5 + [[0.4, 0.6]] + [[0.5, 0.5]] * 3)
    task = DistributionTask("votes", ("a", "b"), shares, {"kl": 1.0},
                            balance=ClassBalance(sampled=True))  # fmt: skip
    drawn = task.strata()[BalancedSampling(task.strata()).drawn(0)]
    assert Counter(drawn.tolist()) == {0: 3, 1: 3, -1: 3}
    assert task.balanced() == ["--sampler balanced, votes: a 5, b 1; 3 of each in an epoch"]


def test_batches_of_a_sample_keep_their_limits() -> None:
    seconds = np.random.default_rng(0).uniform(1, 5, len(GROUPS))
    sampling = BalancedSampling(GROUPS, 1)
    batches = Bucketed(_Lengths(seconds), 30.0, 8, 1, sampling)
    plan = batches.plan(3)
    assert sorted(np.concatenate(plan)) == sorted(sampling.drawn(3))
    assert all(len(part) <= 8 and seconds[part].max() * len(part) <= 30 for part in plan)
    assert [p.tolist() for p in plan] == [p.tolist() for p in batches.plan(3)]
    # Copies of the three rarest do not all meet in one batch.
    spread = [sum(row in part for part in plan) for row in range(51, 54)]
    assert max(spread) >= 2 and SPREAD > 1
    vectors = Vectors("pooled", np.zeros((len(GROUPS), 2)), {}, 10, 1, sampling)
    assert sorted(np.concatenate(vectors.plan(3))) == sorted(sampling.drawn(3))
    assert [len(part) for part in vectors.plan(3)] == [10, 10, 10, 10, 10, 8]


class _Killing(Vectors):
    left = 7

    def batch(self, indices: np.ndarray, epoch: int) -> Batch:
        self.left -= 1
        if self.left < 0:
            raise Killed
        return super().batch(indices, epoch)


def test_a_resumed_run_samples_the_same(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(len(GROUPS), 4)).astype(np.float32)
    given = ("pooled", rows, {"emotion": GROUPS.astype(np.int64)}, 10, 1, BalancedSampling(GROUPS))

    def made(seed: int) -> Supervised:
        torch.manual_seed(seed)
        criteria = [ClassCriterion("emotion", 0, {"focal": 1.0}, Emphasis(None, 0.1))]
        return Supervised(of_class(linear(4, 3)), criteria)

    whole, cut, resumed = made(0), made(0), made(7)
    run(whole, Vectors(*given), tmp_path / "whole", epochs=3, save_every=1)
    with pytest.raises(Killed):
        run(cut, _Killing(*given), tmp_path / "cut", epochs=3, save_every=1)
    run(resumed, Vectors(*given), tmp_path / "cut", epochs=3, save_every=1)
    assert weights(whole) == weights(resumed)
    lines = [history(tmp_path / name / "history.jsonl") for name in ("whole", "cut")]
    assert lines[0] == lines[1]


def _balanced_run(folder: Path, name: str, weighted: bool) -> dict[str, torch.Tensor]:
    """Of classes that are weighted, or sampled, the head's weights after three epochs."""
    rows = np.random.default_rng(0).normal(size=(len(GROUPS), 4)).astype(np.float32)
    shares = (0.5, 2.0, 4.0) if weighted else None
    sampling = None if weighted else BalancedSampling(GROUPS)
    batches = Vectors("pooled", rows, {"emotion": GROUPS.astype(np.int64)}, 9, 1, sampling)
    torch.manual_seed(0)
    head = linear(4, 3)
    criteria = [ClassCriterion("emotion", 0, {"ce": 1.0}, Emphasis(shares, 0.0))]
    run(Supervised(of_class(head), criteria), batches, folder / name, epochs=3, log_every=1)
    return {name: tensor.contiguous() for name, tensor in head.state_dict().items()}


def _on_rank(rank: int, folder: Path) -> None:
    for weighted in (True, False):
        save_file(_balanced_run(folder, f"two-{weighted}", weighted),
                  folder / f"two-{weighted}" / f"rank-{rank}.safetensors")  # fmt: skip


def test_two_ranks_weigh_and_sample_as_one(tmp_path: Path) -> None:
    on_two_ranks(_on_rank, tmp_path)
    for weighted in (True, False):
        alone = _balanced_run(tmp_path, f"one-{weighted}", weighted)
        two = tmp_path / f"two-{weighted}"
        tensors = [load_file(two / f"rank-{rank}.safetensors") for rank in (0, 1)]
        for name, tensor in alone.items():
            assert torch.equal(tensors[0][name], tensors[1][name]), name
            torch.testing.assert_close(tensors[0][name], tensor, rtol=0, atol=1e-5)
        lines = history(tmp_path / f"one-{weighted}" / "history.jsonl")
        assert history(two / "history.jsonl") == [pytest.approx(line, rel=1e-4) for line in lines]


# -- on the command line --------------------------------------------------------------------------

COUNTS = {"anger": 36, "happiness": 12, "neutral": 6}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """f.h5: features of classes that are not equally frequent in the training part, and equally in
    the others; votes and a scalar beside them."""
    folder = tmp_path_factory.mktemp("balance")
    random = np.random.default_rng(0)
    labels = {"emotion": LabelSpec("class", tuple(COUNTS)),
              "votes": LabelSpec("distribution", tuple(COUNTS)),
              "arousal": LabelSpec("scalar")}  # fmt: skip
    spec = StreamSpec("features", "float32", 10.0, (3,), made={"front_end": "x"})
    rows = [(name, "train") for name, count in COUNTS.items() for _ in range(count)]
    rows += [(name, part) for name in COUNTS for part in ("development", "test") for _ in range(6)]
    with store_writer(folder / "f.h5", {}, streams={"features": spec}, labels=labels) as writer:
        for number, (name, split) in enumerate(rows):
            place = list(COUNTS).index(name)
            values = random.normal(size=3) + 1.5 * np.eye(3)[place]
            writer.add(
                f"u{number:03}",
                streams={"features": np.tile(values, (2, 1)).astype(np.float32)},
                labels={"emotion": name, "votes": np.eye(3)[place] * 3 + 1, "arousal": values[0]},
                meta={"speaker": f"{split}{number % 3}", "split": split},
            )
    return folder


def trained(folder: Path, *options: object) -> tuple[str, np.ndarray]:
    """What was said, and the probabilities of every utterance."""
    said = invoke(folder, "finetune", "f.h5", *options, "-f", "-o", "er.safetensors").stderr
    lines = invoke(folder, "predict", "f.h5", "--model", "er.safetensors").stdout.splitlines()
    return said, np.array([list(json.loads(line)["scores"].values()) for line in lines[1:-1]])


def test_the_loss_of_a_weighted_linear_head_is_that_of_logistic_regression() -> None:
    random = np.random.default_rng(0)
    targets = np.repeat([0, 1, 2], list(COUNTS.values()))
    rows = random.normal(size=(54, 4)) + 1.5 * np.eye(4)[targets]
    task = ClassTask("emotion", tuple(COUNTS), targets, {"ce": 1.0},
                     balance=ClassBalance("balanced"))  # fmt: skip
    objective = Supervised(of_class(linear(4, 3)).double(), [task.criterion(0, True)],
                           penalty=1 / 54)  # fmt: skip
    batch = Batch([str(n) for n in range(54)], {"pooled": torch.from_numpy(rows)},
                  labels={"emotion": torch.from_numpy(targets)})  # fmt: skip
    objective.encoded = lambda batch: as_frames(batch.streams["pooled"], objective.head.head.inputs)
    optimiser = torch.optim.LBFGS(objective.parameters(), max_iter=400, tolerance_grad=1e-9,
                                  tolerance_change=1e-14)  # fmt: skip

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        parts = objective(batch, Context()).losses.values()
        total = sum(value / count for value, count in parts)
        total.backward()
        return total

    optimiser.step(closure)
    (weight,) = (p for p in objective.parameters() if p.ndim > 1)
    best = LogisticRegression(class_weight="balanced", max_iter=5000, tol=1e-10)
    np.testing.assert_allclose(weight.detach(), best.fit(rows, targets).coef_, atol=2e-4)
    plain = LogisticRegression(max_iter=5000).fit(rows, targets).coef_
    assert np.abs(plain - best.coef_).max() > 0.1


def test_a_weighted_head_is_close_to_weighted_logistic_regression(folder: Path) -> None:
    said, found = trained(folder, "--class-weights", "balanced", "--batch-utterances", 54,
                          "--epochs", 250, "--head-learning-rate", 0.1, "--select", "none",
                          "--log-every", 100)  # fmt: skip
    assert said.count("anger 36 x 0.5, happiness 12 x 1.5, neutral 6 x 3") == 1
    store = Store(folder / "f.h5")
    means = np.stack([store.read("features", row).mean(axis=0) for row in range(store.count)])
    train = np.array([split == "train" for split in store.meta["split"]])
    means = (means - means[train].mean(axis=0)) / means[train].std(axis=0)
    targets = np.asarray(store.label("emotion"))
    for weighted, close in (("balanced", True), (None, False)):
        best = LogisticRegression(class_weight=weighted, max_iter=5000)
        expected = best.fit(means[train], targets[train]).predict_proba(means)
        assert bool(np.abs(found - expected).max() < 0.02) is close


QUICK = ("--epochs", 4, "--select", "none")


def test_options_change_what_is_learned_and_are_recorded(folder: Path) -> None:
    _, plain = trained(folder, *QUICK)
    for options in (
        ("--class-weights", "effective", "--class-weights-beta", 0.9),
        ("--sampler", "balanced"),
        ("--label-smoothing", 0.2),
        ("--loss", "focal=1"),
        ("--label", "votes", "--class-weights", "balanced", "--loss", "focal=1"),
    ):
        said, found = trained(folder, *QUICK, *options)
        assert np.abs(found - plain).max() > 1e-3
        sizes = "36" in said and "12" in said
        assert sizes
    said, first = trained(folder, *QUICK, "--sampler", "balanced")
    assert said.count("18 of each in an epoch") == 1
    assert np.array_equal(first, trained(folder, *QUICK, "--sampler", "balanced")[1])
    _, two = trained(folder, *QUICK, "--loss", "focal=1", "--focal-gamma", 0)
    np.testing.assert_allclose(two, plain, atol=1e-5)


def test_several_labels_are_weighted_each_by_its_own(folder: Path) -> None:
    said = invoke(folder, "finetune", "f.h5", *QUICK, "--label", "emotion", "--label", "votes",
                  "--label", "arousal", "--class-weights", "balanced", "-f", "-o",
                  "er.safetensors").stderr  # fmt: skip
    assert "--class-weights balanced, emotion: anger 36 x 0.5" in said
    assert "--class-weights balanced, votes: anger 27 x 0.6667" in said


def test_mistakes(folder: Path, tmp_path: Path) -> None:
    for options, word in (
        ({"class_weights_beta": 0.9}, "--class-weights-beta"),
        ({"class_weights": "balanced", "sampler": "balanced"}, "choose one"),
        ({"focal_gamma": 1.0}, "--loss focal"),
        ({"label_smoothing": 1.0}, "--label-smoothing"),
    ):
        with pytest.raises(UsageError, match=word):
            FinetuneSettings(media=(folder / "f.h5",), **options)
    out = ("-o", tmp_path / "x.safetensors")
    for flag in (("--class-weights", "balanced"), ("--sampler", "balanced"),
                 ("--label-smoothing", 0.1)):  # fmt: skip
        found = invoke(folder, "finetune", "f.h5", "--label", "arousal", *flag, *out, status=2)
        assert flag[0] in found.stderr and "arousal is a scalar" in found.stderr
    # One class is left.
    found = invoke(folder, "finetune", "f.h5", "--classes", "anger", "--class-weights", "balanced",
                   *out, status=65)  # fmt: skip
    assert "one class only (anger)" in found.stderr
    assert not list(tmp_path.iterdir())
