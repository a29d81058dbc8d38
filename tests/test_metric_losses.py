"""Metric-learning losses of `train-projector` against naive loops, and their scores."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke, invoke_stopped
from torch import Tensor

from avaffect.core.checkpoint_header import read_header
from avaffect.data.batches import Vectors
from avaffect.evaluation.clustering import nearest_centroid_accuracy, nearest_label_accuracy
from avaffect.models.heads.projector import Projector, ProjectorConfiguration
from avaffect.objectives.losses.metric import OF_CLASSES, metric_loss
from avaffect.objectives.projector import ProjectorTraining

LABELS = torch.tensor([0, 1, 2, 0, -1, 1, 2, 0])
CLASSES, DIM = 3, 5


def embeddings(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(len(LABELS), DIM, generator=generator, dtype=torch.float64)
    return drawn.requires_grad_()


def cosine(one: Tensor, other: Tensor) -> Tensor:
    return one @ other / (one.norm() * other.norm())


def naive_margin(x: Tensor, labels: list[int], weights: Tensor, unit: bool) -> Tensor:
    """Cross-entropy of logits |w| |x| cos(angle), of the own class |w| |x| psi(angle) with psi =
    (-1)^k cos(4 angle) - 2 k for angles from k pi / 4 (Liu et al. 2016, equations 4 to 6);
    SphereFace: |w| = 1 (Liu et al. 2017)."""
    total = torch.zeros((), dtype=x.dtype)
    for row, label in zip(x, labels):
        logits = []
        for number in range(CLASSES):
            w = weights[:, number]
            scale = row.norm() * (1.0 if unit else w.norm())
            angle = torch.acos(cosine(row, w))
            k = int(float(angle.detach()) // (math.pi / 4))
            own = (-1) ** k * torch.cos(4 * angle) - 2 * k
            logits.append(scale * (own if number == label else cosine(row, w)))
        total = total - torch.stack(logits).log_softmax(0)[label]
    return total


@pytest.mark.parametrize("name", OF_CLASSES)
def test_losses_with_weights_of_classes_are_the_loop(name: str) -> None:
    torch.manual_seed(0)
    loss, x = metric_loss(name, CLASSES, DIM), embeddings()
    total, count = loss(x, LABELS)
    known = LABELS >= 0
    weights = loss.loss.W  # type: ignore[attr-defined]
    expected = naive_margin(x[known], LABELS[known].tolist(), weights, name == "sphereface")
    assert int(count) == 7 and weights.shape == (DIM, CLASSES)
    torch.testing.assert_close(total, expected)
    found, naive = (torch.autograd.grad(value, (x, weights)) for value in (total, expected))
    torch.testing.assert_close(found, naive)


def naive_triplet(x: Tensor, labels: list[int]) -> Tensor:
    """The mean over triplets that break the margin of 0.05 of distances of unit vectors."""
    unit = [row / row.norm() for row in x]
    losses = []
    for a, own in enumerate(labels):
        for p in (i for i, other in enumerate(labels) if other == own and i != a):
            for n in (i for i, other in enumerate(labels) if other != own):
                losses.append((unit[a] - unit[p]).norm() - (unit[a] - unit[n]).norm() + 0.05)
    broken = [loss for loss in losses if loss > 0]
    return torch.stack(broken).mean()


def naive_angular(x: Tensor, labels: list[int]) -> Tensor:
    """Wang et al. 2017, equations 7 and 8, of every positive pair; 40 degrees."""
    unit, tan = [row / row.norm() for row in x], math.tan(math.radians(40)) ** 2
    losses = []
    for a, own in enumerate(labels):
        for p in (i for i, other in enumerate(labels) if other == own and i != a):
            terms = [
                4 * tan * (unit[a] + unit[p]) @ x[n] - 2 * (1 + tan) * unit[a] @ unit[p]
                for n, other in enumerate(labels)
                if other != own
            ]
            losses.append(torch.log(1 + sum(term.exp() for term in terms)))
    return torch.stack(losses).mean()


def naive_circle(x: Tensor, labels: list[int]) -> Tensor:
    """Sun et al. 2020, equation 6, m = 0.4, gamma = 80; weights without gradient."""
    losses = []
    for a, own in enumerate(labels):
        sums = [torch.zeros((), dtype=x.dtype)] * 2
        for i, other in enumerate(labels):
            s = cosine(x[a], x[i])
            if i != a and other == own:
                alpha = (1.4 - s.detach()).relu()
                sums[0] = sums[0] + torch.exp(-80 * alpha * (s - 0.6))
            elif other != own:
                alpha = (s.detach() + 0.4).relu()
                sums[1] = sums[1] + torch.exp(80 * alpha * (s - 0.4))
        losses.append(torch.log(1 + sums[0] * sums[1]))
    above = [loss for loss in losses if loss > 0]
    return torch.stack(above).mean()


@pytest.mark.parametrize(
    ("name", "naive"),
    [("triplet", naive_triplet), ("angular", naive_angular), ("circle", naive_circle)],
)
def test_losses_of_pairs_are_the_loop(
    name: str, naive: Callable[[Tensor, list[int]], Tensor]
) -> None:
    loss, x = metric_loss(name, CLASSES, DIM), embeddings(1)
    total, count = loss(x, LABELS)
    known = LABELS >= 0
    expected = 7 * naive(x[known], LABELS[known].tolist())
    assert int(count) == 7
    torch.testing.assert_close(total, expected)
    [found], [gradient] = (torch.autograd.grad(value, x) for value in (total, expected))
    torch.testing.assert_close(found, gradient)


@pytest.mark.parametrize("name", ["triplet", "angular", "circle", *OF_CLASSES])
def test_a_batch_without_labels_has_no_loss(name: str) -> None:
    x = embeddings()
    total, count = metric_loss(name, CLASSES, DIM)(x, torch.full_like(LABELS, -1))
    total.backward()
    assert total.item() == 0 and int(count) == 0 and x.grad is not None


def test_weights_of_classes_are_trained() -> None:
    projector = Projector(ProjectorConfiguration(6, CLASSES))
    dim = projector.configuration.embedding
    for name, more in (("triplet", 0), ("sphereface", 1)):
        loss = metric_loss(name, CLASSES, dim)
        training = ProjectorTraining(projector, "emotion", metric_loss=loss)
        [group] = training.parameter_groups()
        assert len(group.parameters) == len(list(projector.parameters())) + more


def test_the_nearest_training_embedding_gives_its_label() -> None:
    known = np.array([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])
    vectors = np.array([[5.0, 1.0], [0.1, 0.2], [-1.0, 0.9], [0.0, -1.0]])
    labels = np.array([0, 1, 0, 0])
    # By cosine: 0, 1, 2; and of ties the first.
    assert nearest_label_accuracy(vectors, labels, known, np.array([0, 1, 2])) == 0.75
    with pytest.raises(ValueError):
        nearest_label_accuracy(np.zeros((1, 2)), labels[:1], known, labels[:3])


def test_the_nearest_mean_direction_gives_its_label() -> None:
    known = np.array([[9.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [-1.0, 0.0]])
    vectors = np.array([[1.0, 0.1], [1.0, 0.9], [-1.0, 0.2], [-1.0, 2.0]])
    # Means of class 3: (1, 2) / 3; of class 7: (-1, 1) / 2.
    found = nearest_centroid_accuracy(
        vectors, np.array([3, 3, 7, 7]), known, np.array([3, 3, 3, 7, 7])
    )
    assert found == 1.0
    found = nearest_centroid_accuracy(
        vectors, np.array([3, 7, 7, 3]), known, np.array([3, 3, 3, 7, 7])
    )
    assert found == 0.5


TRAIN = ("train-projector", "a.h5", "--encoder", "fav.safetensors", "--epochs", 2)


class TestScores:
    def test_held_out_speakers_are_scored(self, chain: Path) -> None:
        """As the embeddings that extract writes are."""
        from sklearn.metrics import davies_bouldin_score

        from avaffect.data.store.reader import Store

        found = invoke(chain, *TRAIN, "-o", "p.safetensors").stderr
        scores = read_header(chain / "p.safetensors")["metrics"]["development"]
        assert scores.keys() == {
            "accuracy", "nearest_neighbour", "nearest_centroid", "davies_bouldin", "utterances"
        }  # fmt: skip
        assert scores["utterances"] == 8 and "8 utterances of development" in found
        invoke(chain, "extract", "a.h5", "--model", "p.safetensors", "-o", "e.h5")
        store, media = Store(chain / "e.h5"), Store(chain / "a.h5")
        vectors = store.pooled_vectors("embedding")
        rows = [media.rows[i] for i in store.ids]
        labels = media.label("emotion")[rows]
        split = np.array(media.meta["split"])[rows]
        apart = split == "development"
        expected = davies_bouldin_score(vectors[apart], labels[apart])
        assert scores["davies_bouldin"] == pytest.approx(expected, rel=1e-4)
        near = nearest_label_accuracy(
            vectors[apart], labels[apart], vectors[split == "train"], labels[split == "train"]
        )
        assert scores["nearest_neighbour"] == near

    def test_without_classification_there_is_no_accuracy(self, chain: Path) -> None:
        invoke(chain, *TRAIN, "--cross-entropy", 0, "-o", "p.safetensors")
        metrics = read_header(chain / "p.safetensors")["metrics"]
        scores = metrics["development"]
        assert "accuracy" not in scores and "nearest_neighbour" in scores
        assert "accuracy" not in metrics["last"] and "metric" in metrics["last"]

    @pytest.mark.parametrize(
        "options",
        [
            ("--loss", "none", "--cross-entropy", 2),
            ("--loss", "cross-entropy", "--cross-entropy", 0),
            ("--loss", "triplet", "--alpha", 3), ("--loss", "angular", "--epsilon", 0.1),
            ("--loss", "circle", "--base", 0.7), ("--loss", "none", "--beta", 40),
            ("--loss", "none", "--learning-rate", 0.1), ("--loss", "none", "--clip", 1),
            ("--loss", "none", "--schedule", "cosine"), ("--encoder-learning-rate", 0.1),
        ],
        ids=str,
    )  # fmt: skip
    def test_options_of_other_losses_are_refused(
        self, tmp_path: Path, options: tuple[object, ...]
    ) -> None:
        line = ("train-projector", "a.h5", "--encoder", "e.safetensors")
        invoke(tmp_path, *line, *options, status=2)

    def test_a_projector_without_accuracy_has_an_empty_cell(self, chain: Path) -> None:
        for weight in (0, 1):
            line = (*TRAIN, "--cross-entropy", weight, "-o", f"{weight}.safetensors")
            invoke(chain, *line)
        scores = ("--score", "accuracy", "--score", "nearest_centroid")
        for files in (("1.safetensors", "0.safetensors"), ("0.safetensors", "1.safetensors")):
            found = invoke(chain, "compare", *files, *scores)
            assert "0: no score" in found.stderr
            columns, *lines = (line.split("\t") for line in found.stdout.splitlines())
            rows = {line[0]: dict(zip(columns, line)) for line in lines}
            assert rows["0"]["accuracy"] == "" != rows["1"]["accuracy"]
            assert rows["0"]["accuracy_difference"] == "" == rows["1"]["accuracy_difference"]
            assert rows["0"]["nearest_centroid"] != "" != rows["1"]["nearest_centroid"]
        invoke(chain, "compare", "0.safetensors", *scores, status=65)

    def test_without_loss_features_are_embeddings(self, chain: Path) -> None:
        """Standardised by corpus, of the training utterances; what follows reads them."""
        from avaffect.data.store.reader import Store

        line = ("train-projector", "a.h5", "--encoder", "fav.safetensors", "--loss", "none")
        invoke(chain, *line, "-o", "none.safetensors")
        assert "up to date" in invoke(chain, *line, "-o", "none.safetensors").stderr
        header = read_header(chain / "none.safetensors")
        assert header["metrics"].keys() == {"embeddings", "development"}
        assert "accuracy" not in header["metrics"]["development"]
        for name in ("a", "b"):
            model = ("--model", "none.safetensors", "-o", f"{name}-none.h5")
            invoke(chain, "extract", f"{name}.h5", *model)
        invoke(
            chain, "extract", "a.h5", "--model", "fav.safetensors", "--pooled-only", "-o", "mean.h5"
        )
        store, pooled = Store(chain / "a-none.h5"), Store(chain / "mean.h5")
        [name] = pooled.pooled
        means = pooled.pooled_vectors(name)[[pooled.rows[i] for i in store.ids]]
        train = np.array(store.meta["split"]) == "train"
        expected = (means - means[train].mean(axis=0)) / means[train].std(axis=0)
        found = store.pooled_vectors("embedding")
        np.testing.assert_allclose(found, expected, atol=2e-3)
        drawn = ("retrieve", "--query", "a-none.h5", "--pool", "b-none.h5", "--draws", 2)
        invoke(chain, *drawn, "-o", "none.jsonl")
        invoke(chain, "adapt", "none.jsonl", "--steps", 1, "--without", "pt", "-o", "w.safetensors")
        for more in (("--epochs", 1), ("--steps", 1), ("--train-encoder",)):
            invoke(chain, *line, *more, "-o", "x.safetensors", status=2)

    def test_a_trained_encoder(self, chain: Path) -> None:
        invoke(chain, *TRAIN, "--train-encoder", "--steps", 1, *("-o", "p.safetensors"), status=2)
        line = ("train-projector", "a.h5", "--encoder", "fav.safetensors", "--train-encoder")
        invoke(chain, *line, "--steps", 1, "-o", "p.safetensors")
        scores = read_header(chain / "p.safetensors")["metrics"]["development"]
        assert scores.keys() == {"accuracy", "davies_bouldin", "utterances"}

    def test_another_split_to_train_on(self, chain: Path) -> None:
        invoke(chain, *TRAIN, "--split", "all", "-o", "p.safetensors")
        assert "development" not in read_header(chain / "p.safetensors")["metrics"]
        assert "split" in invoke(chain, "compare", "p.safetensors", status=65).stderr

    def test_projectors_are_compared(self, chain: Path) -> None:
        """Files of one name are one row; differences are tested over seeds."""
        files = []
        for loss in ("sphereface", "large-margin-softmax"):
            for seed in (0, 1):
                invoke(
                    chain, *TRAIN, "--loss", loss, "--seed", seed, "-o", f"{loss}{seed}.safetensors"
                )
                files.append(f"{loss}={loss}{seed}.safetensors")
        scores = ("--score", "accuracy", "--score", "davies_bouldin")
        found = invoke(chain, "compare", *files, *scores).stdout.splitlines()
        columns = found[0].split("\t")
        rows = [dict(zip(columns, line.split("\t"))) for line in found[1:]]
        assert [(row["name"], row["runs"]) for row in rows] == [
            ("sphereface", "2"), ("large-margin-softmax", "2"),
        ]  # fmt: skip
        own = [
            read_header(chain / f"large-margin-softmax{seed}.safetensors")["metrics"]["development"]
            for seed in (0, 1)
        ]
        for score in ("accuracy", "davies_bouldin"):
            mean = np.mean([one[score] for one in own])
            assert float(rows[1][score]) == pytest.approx(mean, abs=1e-3)
        assert rows[1]["davies_bouldin_p"] != ""
        invoke(chain, "compare", "fav.safetensors", status=65)

    def test_weights_of_classes_are_resumed(
        self, chain: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        line = (*TRAIN, "--loss", "sphereface", "-o")
        invoke(chain, *line, "whole.safetensors")
        stopped = (*line, "parts.safetensors")
        invoke_stopped(chain, *stopped, stops=1, monkeypatch=monkeypatch, batches=Vectors)
        whole, parts = (chain / f"{name}.safetensors" for name in ("whole", "parts"))
        assert whole.read_bytes() == parts.read_bytes()
