"""The support vector machine of `finetune --head svm`, and heads that are fitted at once."""

from __future__ import annotations

import json
from pathlib import Path

import labelled_vectors
import numpy as np
import pytest
import torch
from chain import invoke
from labelled_vectors import CLASSES, COUNT, DIM
from sklearn.svm import SVC

from avaffect.models.heads import svm
from avaffect.models.heads.base import Examples, HeadInput
from avaffect.models.heads.labels import LabelHead, Readout
from avaffect.models.heads.svm import GRID, SVMConfiguration, SVMHead
from avaffect.models.pooling import as_frames
from avaffect.training import checkpoint

INPUTS = (HeadInput("v", DIM, 0.0),)


def examples(classes: int, weights: tuple[float, ...] | None = None) -> Examples:
    random = np.random.default_rng(classes)
    targets = random.integers(0, classes, 60)
    vectors = random.normal(size=(60, DIM)) + targets[:, None] * random.normal(size=DIM)
    return Examples(vectors.astype(np.float32), targets, np.array(weights or (1.0,) * classes))


@torch.no_grad()
def scores(head: SVMHead, vectors: np.ndarray) -> np.ndarray:
    return head(as_frames(torch.from_numpy(vectors), head.inputs)).utterance.numpy()


@pytest.mark.parametrize("kernel", GRID)
@pytest.mark.parametrize("classes", [2, 3, 4])
def test_it_agrees_with_scikit_learn(kernel: str, classes: int) -> None:
    weights = tuple(np.linspace(0.5, 2, classes))
    given = examples(classes, weights)
    head = SVMHead(SVMConfiguration(INPUTS, classes, kernel=kernel, C=0.5, gamma=0.3))
    head.fit(given)
    machine = SVC(kernel=kernel, C=0.5, gamma=0.3, class_weight=dict(enumerate(weights)))
    machine.set_params(break_ties=classes > 2).fit(given.vectors, given.targets)
    new = np.random.default_rng(9).normal(size=(40, DIM)).astype(np.float32) * 2
    expected, found = machine.decision_function(new), scores(head, new)
    if classes == 2:
        np.testing.assert_allclose(found[:, 1] - found[:, 0], expected, atol=1e-4)
    else:
        np.testing.assert_allclose(found, expected, atol=1e-4)
        pairs = machine.set_params(decision_function_shape="ovo", break_ties=False)
        np.testing.assert_allclose(
            head.decisions(torch.from_numpy(new)).numpy(), pairs.decision_function(new), atol=1e-4
        )
        machine.set_params(decision_function_shape="ovr", break_ties=True)
    np.testing.assert_array_equal(found.argmax(axis=1), machine.predict(new))


def test_an_absent_class_is_never_predicted() -> None:
    given = examples(3)
    given = Examples(given.vectors, np.where(given.targets == 1, 3, given.targets), np.ones(4))
    head = SVMHead(SVMConfiguration(INPUTS, 4, kernel="linear", C=1.0))
    head.fit(given)
    found = scores(head, given.vectors)
    assert set(found.argmax(axis=1)) == {0, 2, 3} and (found[:, 1] < found.min(axis=1, where=[
        True, False, True, True], initial=9)).all()  # fmt: skip


def test_the_first_of_the_best_is_chosen() -> None:
    given, asked = examples(3), []
    head = SVMHead(SVMConfiguration(INPUTS, 3))
    order = [(kernel, penalty) for kernel, penalties in GRID.items() for penalty in penalties]
    values = [0.1, 0.5, 0.2, 0.5, 0.5, 0.3, 0.0, 0.4]

    def score() -> float:
        asked.append(scores(head, given.vectors))
        return values[len(asked) - 1]

    facts = head.fit(given, score)
    assert len(asked) == len(order) == len(values)
    assert (facts["kernel"], facts["C"]) == order[1] and "gamma" not in facts
    np.testing.assert_array_equal(scores(head, given.vectors), asked[1])
    # Without development there is nothing to choose by; what is given is not chosen.
    facts = head.fit(given)
    assert (facts["kernel"], facts["C"]) == (svm.DEFAULT_KERNEL, svm.DEFAULT_PENALTY)
    assert facts["gamma"] == pytest.approx(1 / (DIM * given.vectors.var(dtype=np.float64)))
    facts = SVMHead(SVMConfiguration(INPUTS, 3, kernel="linear", C=7.0)).fit(given, lambda: 1.0)
    assert facts == {"kernel": "linear", "C": 7.0}


def test_what_an_utterance_lacks_is_the_mean() -> None:
    inputs = (HeadInput("a", 2, 0.0), HeadInput("b", DIM - 2, 10.0))
    given = examples(3)
    given.vectors[::7, 2:] = np.nan
    head = SVMHead(SVMConfiguration(inputs, 3, kernel="rbf", C=1.0, standardise=True))
    mean = torch.from_numpy(np.nanmean(given.vectors, axis=0))
    head.standardisation.set(mean, torch.from_numpy(np.nanstd(given.vectors, axis=0)))
    head.fit(given)
    filled = np.where(np.isnan(given.vectors), mean.numpy(), given.vectors)
    np.testing.assert_array_equal(scores(head, given.vectors), scores(head, filled))


def test_machines_of_other_sizes_are_loaded(tmp_path: Path) -> None:
    """One header describes all runs, each with a number of support vectors of its own."""
    readouts = (Readout("emotion", "class", classes=3),)
    for kernel, penalty in (("rbf", 0.1), ("rbf", 50.0), ("linear", 1.0)):
        head = SVMHead(SVMConfiguration(INPUTS, 3, kernel=kernel, C=penalty))
        head.fit(examples(3))
        whole = LabelHead.of(head, readouts)
        tensors = {f"runs.0.head.{name}": t for name, t in whole.state_dict().items()}
        fresh = LabelHead.of(SVMHead(SVMConfiguration(INPUTS, 3)), readouts)
        checkpoint.load_into(fresh, tensors, tmp_path, "runs.0.head.")
        vectors = examples(3).vectors
        np.testing.assert_array_equal(scores(fresh.head, vectors), scores(head, vectors))


# -- the command ----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    labelled_vectors.write(tmp_path / "v.h5")
    return tmp_path


def ua(folder: Path, *options: object) -> float:
    invoke(folder, "predict", "v.h5", "--model", "c.safetensors", *options, "-f", "-o", "p.jsonl")
    return json.loads(invoke(folder, "eval-class", "p.jsonl", "--json").stdout)["ua"]


def test_it_is_trained_and_predicts(folder: Path) -> None:
    finetune = "finetune", "v.h5", "--head", "svm", "--runs", 2, "-o", "c.safetensors"
    invoke(folder, *finetune)
    first = (folder / "c.safetensors").read_bytes()
    assert ua(folder, "--split", "test") > 0.8
    invoke(folder, "predict", "v.h5", "--model", "c.safetensors", "--window", 0.5, status=2)
    header = checkpoint.load(folder / "c.safetensors")[0]
    assert header["mode"] == "frozen"
    for run in header["runs"]:
        assert run["metrics"]["fitted"]["kernel"] in GRID
        assert run["metrics"]["development"]["ua"] > 0.6
    assert "up to date" in invoke(folder, *finetune).stderr
    (folder / "c.safetensors").unlink()
    invoke(folder, *finetune)
    assert (folder / "c.safetensors").read_bytes() == first
    invoke(folder, "finetune", "v.h5", "--head", "svm", "--folds", 3, "--class-weights", "balanced",
           "--head-option", "kernel=rbf", "-f", "-o", "c.safetensors")  # fmt: skip
    assert ua(folder) > 0.8
    folds = checkpoint.load(folder / "c.safetensors")[0]["runs"]
    assert [run["fold"] for run in folds] == [0, 1, 2]


def test_it_reads_the_means_of_a_frozen_encoder(chain_made: Path, tmp_path: Path) -> None:
    media, encoder = chain_made / "a.h5", chain_made / "fav.safetensors"
    invoke(tmp_path, "finetune", media, "--encoder", encoder, "--head", "svm",
           "--head-option", "C=1", "-o", "c.safetensors")  # fmt: skip
    invoke(tmp_path, "predict", media, "--model", "c.safetensors", "-o", "p.jsonl")
    assert len((tmp_path / "p.jsonl").read_text().splitlines()) == 24 + 2


@pytest.mark.parametrize(
    "wrong",
    [("--label", "arousal"), ("--label", "emotion", "--label", "arousal"), ("--epochs", 3),
     ("--loss", "ce=1"), ("--sampler", "balanced"), ("--layers", "weighted"),
     ("--head-penalty", 1), ("--hidden", 8),
     ("--head-option", "C=-1"), ("--head-option", "kernel=poly")],
)  # fmt: skip
def test_what_it_cannot_do_is_refused(folder: Path, wrong: tuple) -> None:
    invoke(folder, "finetune", "v.h5", "--head", "svm", *wrong, status=2)


def test_one_class_is_refused(folder: Path) -> None:
    said = invoke(folder, "finetune", "v.h5", "--head", "svm", "--classes", CLASSES[0], status=65)
    assert CLASSES[0] in said.stderr


def test_a_long_fit_is_said_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = SVMHead(SVMConfiguration(INPUTS, 3))
    assert head.seconds(1_000_000, True) > 3600
    assert head.seconds(COUNT, True) == len([p for of in GRID.values() for p in of]) * (
        head.seconds(COUNT, False)
    )
    monkeypatch.setattr(svm, "PRODUCTS_A_SECOND", 1.0)
    found = invoke(folder, "finetune", "v.h5", "--head", "svm", "-f", "-o", "c.safetensors").stderr
    assert "--fraction" in found
