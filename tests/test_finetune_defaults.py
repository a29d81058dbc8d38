"""What `finetune` does unless told otherwise: as good as logistic regression, long enough, in the
folds that are there; and what it says of runs that were too short or learned nothing."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from chain import invoke
from sklearn.linear_model import LogisticRegression
from tiny_training import Rows, Tiny, run

from avaffect.core.errors import UsageError
from avaffect.core.progress import Progress
from avaffect.core.seeds import generator
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec, StreamSpec
from avaffect.data.store.writer import store_writer
from avaffect.evaluation.classification import unweighted_accuracy_error
from avaffect.recipes.downstream import defaults, undertraining
from avaffect.recipes.downstream.defaults import completed
from avaffect.recipes.downstream.tasks.class_task import ClassTask
from avaffect.settings.finetune import FinetuneSettings
from avaffect.training import checkpoint
from avaffect.training.ending import ending, own_lines
from avaffect.training.meter import as_good
from avaffect.training.saving import Pace

CLASSES = ("anger", "happiness", "neutral", "sadness")
DIM = 12
KINDS = {"emotion": "class"}


def _store(
    path: Path, count: int = 96, fields: tuple[str, ...] = ("speaker", "fold"), apart: float = 1.0,
    rate: float = 100.0, trace_hz: float | None = None,
) -> Path:  # fmt: skip
    """Speakers with an offset of their own, in folds; classes some distance apart, on scales from
    1 to 1000. Splits: the first two thirds train, the rest are development and test."""
    random = generator(0, "defaults", count)
    centres = random.normal(0, apart, (len(CLASSES), DIM))
    labels = {"emotion": LabelSpec("class", CLASSES)}
    if trace_hz is not None:
        labels["arousal"] = LabelSpec("trace", rate_hz=trace_hz)
    spec = StreamSpec("features", "float32", rate, (DIM,), made={"front_end": "x"})
    with store_writer(path, {}, streams={"features": spec}, labels=labels) as writer:
        for number in range(count):
            speaker, kind = number * 6 // count, number % len(CLASSES)
            offset = generator(0, "speaker", speaker).normal(0, 0.7, DIM)
            values = centres[kind] + offset + random.normal(0, 1.2, DIM)
            values = (values + random.normal(0, 1, (8, DIM))) * np.logspace(0, 3, DIM)
            split = ("train", "train", "train", "train", "development", "test")[speaker]
            meta = {"speaker": f"s{speaker}", "split": split, "fold": speaker}
            found: dict[str, object] = {"emotion": CLASSES[kind]}
            if trace_hz is not None:
                found["arousal"] = np.linspace(-1, 1, 8).astype(np.float32)
            writer.add(
                f"u{number:03}",
                streams={"features": values.astype(np.float32)},
                labels=found,
                meta={name: meta[name] for name in fields},
            )
    return path


def _settings(*media: Path, **options: object) -> FinetuneSettings:
    return FinetuneSettings(media=media, **options)  # type: ignore[arg-type]


def _completed(path: Path, **options: object) -> FinetuneSettings:
    return completed(_settings(path, **options), [Store(path)], KINDS)


# -- the linear head is logistic regression -------------------------------------------------------


def test_the_linear_default_is_logistic_regression(tmp_path: Path) -> None:
    path = _store(tmp_path / "f.h5", fields=("speaker", "split"))
    # A fourth of the steps of the default, which are enough here.
    invoke(tmp_path, "finetune", "f.h5", "--least-steps", 1000, "-o", "er.safetensors")
    lines = invoke(tmp_path, "predict", "f.h5", "--model", "er.safetensors").stdout.splitlines()
    found = np.array([list(json.loads(line)["scores"].values()) for line in lines[1:-1]])
    store = Store(path)
    means = np.stack([store.read("features", row).mean(axis=0) for row in range(store.count)])
    train = np.array([split == "train" for split in store.meta["split"]])
    means = (means - means[train].mean(axis=0)) / means[train].std(axis=0)
    targets = np.asarray(store.label("emotion"))
    best = LogisticRegression(max_iter=5000).fit(means[train], targets[train])
    assert np.abs(found - best.predict_proba(means)).max() < 0.1
    assert (found.argmax(axis=1) == best.predict(means)).mean() > 0.96


def test_penalties_are_of_the_linear_head_and_can_be_left_out(tmp_path: Path) -> None:
    path = _store(tmp_path / "f.h5", 24)
    assert _completed(path).head_penalty == 1 and _completed(path, head="gru").head_penalty == 0
    assert _completed(path, pooling="attentive").head_penalty == 1
    assert _completed(path, head_penalty=0.0).head_penalty == 0
    with pytest.raises(UsageError, match="head-penalty goes with --head linear"):
        _settings(path, head="bgru", head_penalty=1.0)
    with pytest.raises(UsageError, match="goes with labels of utterances"):
        completed(_settings(path, head_penalty=1.0), [Store(path)], {"arousal": "trace"})
    norms = []
    for penalty in (0, 1, 1000):
        invoke(tmp_path, "finetune", "f.h5", "--folds", 0, "--epochs", 30, "--head-penalty",
               penalty, "-f", "-o", "er.safetensors")  # fmt: skip
        _, tensors = checkpoint.load(tmp_path / "er.safetensors")
        norms.append(float(tensors["runs.0.head.head.layers.1.weight"].norm()))
    assert norms[0] > norms[1] > 2 * norms[2]


# -- defaults by mode, head and size --------------------------------------------------------------


def test_lengths_are_epochs_and_steps(tmp_path: Path) -> None:
    path = _store(tmp_path / "f.h5", 24)
    found = _completed(path)
    assert (found.epochs, found.least_steps, found.head_learning_rate) == (50, 4000, 1e-2)
    assert _completed(path, epochs=3).least_steps == 0
    assert _completed(path, epochs=3, least_steps=7).least_steps == 7
    assert _completed(path, steps=3).epochs is None
    with pytest.raises(UsageError, match="exclude each other"):
        _settings(path, steps=3, least_steps=7)
    # 16 utterances to train on, 8 a step.
    invoke(tmp_path, "finetune", "f.h5", "--folds", 6, "--epochs", 2, "--least-steps", 9,
           "--batch-utterances", 8, "-o", "er.safetensors")  # fmt: skip
    header, _ = checkpoint.load(tmp_path / "er.safetensors")
    assert {run["metrics"]["training"]["epochs"] for run in header["runs"]} == {5}
    made = header["provenance"]["settings"]
    assert made["epochs"] == 2 and made["least_steps"] == 9 and made["select"] == "auto"
    assert None not in (made["learning_rate"], made["head_penalty"], made["frames_per_step"])


def test_encoders_learn_at_a_rate_of_their_size(tmp_path: Path, monkeypatch) -> None:
    path = _store(tmp_path / "f.h5", 24)
    monkeypatch.setattr(
        defaults.artifacts,
        "describe",
        lambda _: SimpleNamespace(kind="checkpoint", header={}),
    )
    rates = []
    name = tmp_path / "x.safetensors"
    for side in (100, 4000, 20_000):
        table = {"w": {"shape": [side, side]}}
        monkeypatch.setattr(
            defaults.checkpoint_header, "tensor_table", lambda _, table=table: table
        )
        found = [_completed(path, encoder=name, mode=mode).learning_rate
                 for mode in ("fine-tuned", "scratch")]  # fmt: skip
        rates.append(tuple(found))
    assert rates == [(5e-4, 1e-3), (6e-5, 6e-4), (1e-5, 1e-4)]
    assert _completed(path, encoder=name, learning_rate=3e-4).learning_rate == 3e-4


def test_recurrent_heads_read_25_steps_a_second(tmp_path: Path) -> None:
    for rate, steps in ((100.0, 4), (50.0, 2), (25.0, 1), (10.0, 1)):
        path = _store(tmp_path / f"{rate:g}.h5", 12, rate=rate)
        assert _completed(path, head="bgru").frames_per_step == steps
        assert _completed(path).frames_per_step == 1
    assert _completed(path, head="bgru", frames_per_step=3).frames_per_step == 3
    path = _store(tmp_path / "traced.h5", 12, trace_hz=50.0)
    found = completed(
        _settings(path, head="bgru", label=("arousal",)), [Store(path)], {"arousal": "trace"}
    )
    assert found.frames_per_step == 2 and found.select == "ccc"


# -- folds that are there -------------------------------------------------------------------------


def test_folds_are_used_unless_there_are_splits(tmp_path: Path) -> None:
    quick = ("--epochs", 1, "-f", "-o", "er.safetensors")
    _store(tmp_path / "f.h5", 24)
    found = invoke(tmp_path, "finetune", "f.h5", *quick).stderr
    assert "each of the 6 folds is tested in turn" in found and "1 run of 6 folds" in found
    assert "no splits" not in found
    header, _ = checkpoint.load(tmp_path / "er.safetensors")
    assert header["provenance"]["settings"]["folds"] == 6
    # The same thing by name: there is nothing to do.
    assert "up to date" in invoke(tmp_path, "finetune", "f.h5", "--folds", 6, *quick[:2],
                                  *quick[3:]).stderr  # fmt: skip
    found = invoke(tmp_path, "finetune", "f.h5", "--folds", 0, *quick).stderr
    assert (
        "not used (--folds 0)" in found and "no splits: all utterances are training data" in found
    )
    _store(tmp_path / "both.h5", 24, ("speaker", "fold", "split"))
    found = invoke(tmp_path, "finetune", "both.h5", *quick).stderr
    assert "not used (there are splits); --folds 6 uses them" in found
    _store(tmp_path / "none.h5", 24, ("speaker",))
    found = invoke(tmp_path, "finetune", "none.h5", *quick).stderr
    assert "fold" not in found and "no splits" in found
    assert "at least 3" in invoke(tmp_path, "finetune", "f.h5", "--folds", 2, status=2).stderr


# -- the epoch that is kept -----------------------------------------------------------------------


def test_a_lucky_epoch_is_not_kept_and_a_better_one_is() -> None:
    def found(ua: float, error: float, epoch: int = 50) -> dict[str, float]:
        return {"ua": ua, "ua_error": error, "epoch": float(epoch)}

    assert as_good("ua", found(0.70, 0.05), found(0.80, 0.05, 3))
    assert not as_good("ua", found(0.70, 0.01), found(0.80, 0.01, 3))
    # Of few epochs the best is less lucky.
    assert not as_good("ua", found(0.70, 0.05, 2), found(0.80, 0.05, 1))
    assert not as_good("ua", {}, {}) and not as_good(None, {}, {})


def test_the_error_of_recalls_is_never_nothing() -> None:
    large = unweighted_accuracy_error(np.array([[500, 500], [500, 500]]))
    assert large == pytest.approx(np.sqrt(2 * 0.25 / 1000) / 2)
    assert unweighted_accuracy_error(np.array([[2, 0], [0, 3]])) > 0.1
    assert unweighted_accuracy_error(np.array([[2, 0, 0], [0, 3, 0], [0, 0, 0]])) > 0.1


# -- runs that were too short ---------------------------------------------------------------------


def _lines(losses: np.ndarray, rates: np.ndarray | float = 1.0) -> list[dict]:
    rates = np.broadcast_to(rates, losses.shape)
    return [
        {
            "step": 10 * (index + 1),
            "epoch": index,
            "loss": float(loss),
            "learning_rate": float(rate),
        }
        for index, (loss, rate) in enumerate(zip(losses, rates))
    ]


def test_a_loss_that_falls_is_told_from_a_flat_one() -> None:
    time = np.linspace(0, 1, 40)
    noise = generator(0, "noise").normal(0, 0.02, 40)
    assert ending(_lines(1.4 - 0.6 * time + noise), "loss").falling(1.4)
    assert not ending(_lines(0.5 + np.exp(-12 * time) + noise), "loss").falling(1.4)
    # More noise than fall.
    loud = generator(0, "loud").normal(0, 0.4, 40)
    assert not ending(_lines(1.0 - 0.3 * time + loud), "loss").falling(1.4)
    # It is flat at the end, for the rate is 0 there: it has still not converged.
    rates = 1 - time + 1e-9
    work = np.cumsum(rates) / rates.sum()
    assert np.ptp((1.4 - 0.6 * work)[-8:]) < 0.05
    assert ending(_lines(1.4 - 0.6 * work, rates), "loss").falling(1.4)
    # Few lines tell nothing, and what rises may be what gets better.
    assert not ending(_lines(np.array([1.4, 1.0, 0.5])), "loss").falling(1.4)
    assert ending(_lines(0.6 * time), "loss").falling(-1.0)
    assert ending([], "loss") is None


def test_lines_of_a_history_are_those_of_the_run(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    lines = [{"run": 0, "step": 1}, {"run": 1, "step": 1}, {"run": 1, "epoch": 1, "ua": 0.5},
             {"run": 1, "step": 2}]  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert [line["step"] for line in own_lines(path, {"run": 1})] == [1, 2]
    assert own_lines(path, {"run": 0}) == []


def test_short_runs_are_named_with_what_to_try(tmp_path: Path) -> None:
    _store(tmp_path / "f.h5", 96, ("speaker", "split"), apart=2.0)
    slow = ("finetune", "f.h5", "--epochs", 60, "--log-every", 1, "-f", "-o", "er.safetensors")
    found = invoke(tmp_path, *slow, "--head-learning-rate", 1e-3).stderr
    assert "warning: the loss was still falling when training ended" in found
    assert "--epochs 240 (now 60)" in found and "--head-learning-rate 0.01 (now 0.001)" in found
    found = invoke(tmp_path, *slow, "--head-learning-rate", 1e-7, "--runs", 2).stderr
    assert "in 2 of 2 runs the predictions of the training part itself never left chance" in found
    assert "still falling" not in found
    found = invoke(tmp_path, "finetune", "f.h5", "--least-steps", 300, "-f", "-o",
                   "er.safetensors").stderr  # fmt: skip
    assert "warning" not in found


def test_a_class_that_nearly_all_have_can_be_learned() -> None:
    """Two errors above its share would be more than all."""
    targets = np.array([0] * 60 + [1] * 2)
    train = ClassTask("emotion", ("anger", "joy"), targets, {"ce": 1.0})

    def ended(accuracy: float) -> tuple[bool, bool]:
        lines = [
            {**line, "classification": line["loss"], "accuracy": accuracy}
            for line in _lines(np.full(10, 0.35))
        ]
        return train.ended(lines, alone=True)

    assert ended(1.0) == (False, False)
    assert ended(60 / 62) == (False, True)


def test_traces_that_were_not_learned_are_named(tmp_path: Path) -> None:
    _store(tmp_path / "f.h5", 24, ("speaker", "split"), trace_hz=100.0)
    found = invoke(
        tmp_path,
        "finetune",
        "f.h5",
        "--label",
        "arousal",
        "--steps",
        20,
        "--head-learning-rate",
        1e-7,
        "--log-every",
        1,
        "-o",
        "va.safetensors",
    ).stderr
    assert "never left chance" in found and "--steps 80 (now 20)" in found


def test_a_kept_earlier_epoch_is_no_reason_to_train_on() -> None:
    told: list[str] = []

    class Heard(Progress):
        def warn(self, message: str) -> None:
            told.append(message)

    settings = SimpleNamespace(steps=None, head_learning_rate=1e-2, mode="fine-tuned",
                               learning_rate=1e-5)  # fmt: skip
    calm = {"training": {"falling": 0.0, "chance": 0.0, "epochs": 5.0}}
    undertraining.warn(settings, [calm, {}], Heard())
    assert told == []
    lost = {"training": {"falling": 0.0, "chance": 1.0, "epochs": 5.0}}
    undertraining.warn(settings, [calm, lost], Heard())
    assert "in 1 of 2 runs" in told[0] and "--learning-rate 0.0001 (now 1e-05)" in told[0]
    assert "--mode frozen" in told[0] and "--head-learning-rate" not in told[0]


@pytest.mark.parametrize(("error", "kept"), [(0.05, 3.0), (0.001, 1.0)])
def test_a_run_that_is_resumed_at_its_end_keeps_the_same_epoch(
    tmp_path: Path, monkeypatch, error: float, kept: float
) -> None:
    monkeypatch.setattr(Pace, "due", lambda self, ahead_s=0.0: True)
    scores = iter([0.80, 0.70, 0.75])
    options = {
        "evaluate": lambda objective, spool: {"ua": next(scores), "ua_error": error},
        "select": "ua",
        "steady": True,
    }
    first, again = Tiny(), Tiny()
    outcomes = [
        run(objective, Rows(), tmp_path / "run", run_options=options, epochs=3)
        for objective in (first, again)
    ]
    assert [outcome.best["epoch"] for outcome in outcomes] == [kept, kept]
    assert [outcome.kept_last for outcome in outcomes] == [kept == 3.0] * 2
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters()))
