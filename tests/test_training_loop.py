"""The training loop: sums and counts, ranks, groups, schedules, what is kept and refused."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from forked import client
from ranks import on_two_ranks
from safetensors.torch import load_file, save_file
from tiny_training import ROWS, Rows, Tiny, history, run, weights

from avaffect.core.batch import Batch
from avaffect.core.errors import AvaffectError, UsageError
from avaffect.core.progress import SILENT
from avaffect.objectives.base import ParameterGroup, Step
from avaffect.settings.training import TrainingSettings
from avaffect.training import device
from avaffect.training.history import History
from avaffect.training.loop import train
from avaffect.training.run import Run
from avaffect.training.schedules import learning_rate_factor

TESTS = Path(__file__).resolve().parent
# The third quarter holds no labelled row, the first four.
QUARTERS = [list(range(5)), [5, 11, 12], [6, 7, 8, 9], [10, *range(13, ROWS)]]
WHOLE = [index for quarter in QUARTERS for index in quarter]


def _distance(first: Tiny, second: Tiny) -> float:
    """Largest difference of a weight."""
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


def test_accumulated_micro_batches_equal_one_batch(tmp_path: Path) -> None:
    whole, parts = Tiny().double(), Tiny().double()
    options = {"steps": 5, "clip": 0.0, "log_every": 1}
    run(whole, Rows(parts=[WHOLE]), tmp_path / "whole", **options)
    run(parts, Rows(parts=QUARTERS), tmp_path / "parts", accumulate=4, **options)
    # The first step moves each weight by its learning rate: a wrong share would show at once.
    assert _distance(whole, Tiny().double()) > 0.05
    assert _distance(whole, parts) < 1e-6
    for one, four in zip(
        history(tmp_path / "whole" / "history.jsonl"),
        history(tmp_path / "parts" / "history.jsonl"),
        strict=True,
    ):
        assert one.pop("epoch") == four.pop("epoch")
        assert one == pytest.approx(four, rel=1e-5)


def test_averaging_micro_batches_would_not_do() -> None:
    """The control of the test before: quarters weigh differently, and a mean of means shows it."""
    whole, mean = Tiny().double(), Tiny().double()
    mean.counts = lambda batch, context, phase="main": {  # type: ignore[method-assign]
        "first": float(len(batch)),
        "second": 1.0,
    }
    run(whole, Rows(parts=[WHOLE]), steps=5, clip=0.0)
    run(mean, Rows(parts=QUARTERS), steps=5, clip=0.0, accumulate=4)
    assert _distance(whole, mean) > 1e-3


def test_an_epoch_ends_with_a_smaller_group() -> None:
    batches = Rows()
    outcome = run(Tiny(), batches, epochs=3, accumulate=4)
    assert outcome.steps == 3 * math.ceil(len(batches.plan(0)) / 4)
    for epoch in range(3):
        seen = sorted(index for e, part in batches.seen if e == epoch for index in part)
        assert seen == list(range(ROWS))


def _train_on_rank(rank: int, folder: Path) -> None:
    for accumulate in (1, 3):
        objective = Tiny()
        two = folder / f"two-{accumulate}"
        # Two ranks share every batch; the last, of one row, leaves one of them without any.
        run(objective, Rows(size=7), two, epochs=3, log_every=1, accumulate=accumulate)
        tensors = {name: tensor.contiguous() for name, tensor in objective.state_dict().items()}
        save_file(tensors, two / f"rank-{rank}.safetensors")


def test_two_ranks_agree_with_one(tmp_path: Path) -> None:
    alone = {accumulate: Tiny() for accumulate in (1, 3)}
    for accumulate, objective in alone.items():
        folder = tmp_path / f"one-{accumulate}"
        run(objective, Rows(size=7), folder, epochs=3, log_every=1, accumulate=accumulate)
    on_two_ranks(_train_on_rank, tmp_path)
    for accumulate, objective in alone.items():
        two = tmp_path / f"two-{accumulate}"
        tensors = [load_file(two / f"rank-{rank}.safetensors") for rank in (0, 1)]
        for name, tensor in objective.named_parameters():
            assert torch.equal(tensors[0][name], tensors[1][name]), name
            torch.testing.assert_close(tensors[0][name], tensor.detach(), rtol=0, atol=1e-5)
        lines = history(tmp_path / f"one-{accumulate}" / "history.jsonl")
        assert history(two / "history.jsonl") == [pytest.approx(line, rel=1e-4) for line in lines]


def test_pretraining_on_two_ranks(chain: Path) -> None:
    """The command under torchrun, its ranks forks: one checkpoint, one history, one voice."""
    found = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
         "--no-python", client(), "pretrain-hubert", "a.h5", "b.h5", "--units", "units_a.h5",
         "--units", "units_b.h5", "--preset", "nano", "--steps", "2", "--batch-seconds", "8",
         "--log-every", "1", "-o", "two.safetensors"],
        env={**os.environ, "PYTHONPATH": str(TESTS.parent), "OMP_NUM_THREADS": "1"},
        cwd=chain, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert found.stderr.count("two.safetensors: masked loss") == 1
    lines = history(chain / "two.safetensors.metrics.jsonl")
    assert [line["step"] for line in lines] == [1, 2]
    assert not (chain / "two.safetensors.state").exists()


def test_coupled_losses_refuse_parts_of_a_batch() -> None:
    objective = Tiny()
    objective.coupled = True
    with pytest.raises(UsageError, match="--accumulate") as raised:
        run(objective, Rows(), steps=1, accumulate=2)
    assert raised.value.status == 2
    run(objective, Rows(), steps=1)
    ranks = SimpleNamespace(world_size=2)
    with pytest.raises(UsageError, match="several processes"):
        train(objective, Rows(), TrainingSettings(steps=1), Run(seed=0), ranks, SILENT)


def test_a_loss_that_is_no_number_stops_and_says_where(tmp_path: Path) -> None:
    batches = Rows()
    batches.y[batches.plan(0)[2][0]] = np.nan
    with pytest.raises(AvaffectError, match="nan at step 2") as raised:
        run(Tiny(), batches, tmp_path, steps=6, save_every=1)
    assert "first nan" in str(raised.value) and "--learning-rate" in str(raised.value)
    assert all(math.isfinite(line["first"]) for line in history(tmp_path / "history.jsonl"))


def test_nothing_to_train_on() -> None:
    with pytest.raises(AvaffectError, match="no utterance"):
        run(Tiny(), Rows(parts=[]), steps=1)


@pytest.mark.parametrize(
    "settings",
    [{}, {"epochs": 1, "steps": 1}, {"epochs": 0}, {"steps": -1}, {"steps": 1, "accumulate": 0}],
)
def test_lengths_that_make_no_sense(settings: dict) -> None:
    with pytest.raises(UsageError) as raised:
        run(Tiny(), Rows(), **settings)
    assert raised.value.status == 2


class TestSchedules:
    @pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
    def test_warm_up_is_linear(self, schedule: str) -> None:
        for progress in (0.0, 0.05, 0.1):
            factor = learning_rate_factor(schedule, progress, 0.2)
            assert factor == pytest.approx(progress / 0.2)
        assert learning_rate_factor(schedule, 0.2, 0.2) == pytest.approx(1.0)

    def test_decay(self) -> None:
        assert learning_rate_factor("constant", 0.9, 0.1) == 1.0
        assert learning_rate_factor("linear", 0.55, 0.1) == pytest.approx(0.5)
        assert learning_rate_factor("cosine", 0.55, 0.1) == pytest.approx(0.5)
        assert learning_rate_factor("cosine", 0.325, 0.1) == pytest.approx(
            0.5 * (1 + math.cos(math.pi / 4))
        )
        for schedule in ("linear", "cosine"):
            assert learning_rate_factor(schedule, 1.0, 0.1) == pytest.approx(0.0, abs=1e-12)
        assert learning_rate_factor("linear", 0.0, 0.0) == 1.0
        with pytest.raises(ValueError, match="triangle"):
            learning_rate_factor("triangle", 0.5, 0.0)

    def test_steps_take_their_middle(self, tmp_path: Path) -> None:
        settings = {"schedule": "linear", "warmup": 0.5, "learning_rate": 1.0, "log_every": 1}
        run(Tiny(), Rows(), tmp_path / "steps", steps=4, **settings)
        rates = [line["learning_rate"] for line in history(tmp_path / "steps" / "history.jsonl")]
        assert rates == pytest.approx([0.25, 0.75, 0.75, 0.25])
        run(Tiny(), Rows(size=11), tmp_path / "epochs", epochs=2, **settings)
        rates = [line["learning_rate"] for line in history(tmp_path / "epochs" / "history.jsonl")]
        assert rates == pytest.approx([0.25, 0.75, 0.75, 0.25])


class TestParameterGroups:
    def test_options_of_a_group_stand_over_the_runs(self) -> None:
        """With nothing but weight decay to move them, weights shrink by (1 - rate * decay)."""
        objective = Tiny()
        objective.weights = {"first": 0.0, "second": 0.0}
        before = {name: t.clone() for name, t in objective.state_dict().items()}
        run(objective, Rows(), steps=1, warmup=0.0, schedule="constant", weight_decay=0.5)
        after = objective.state_dict()
        for name in ("body.0.weight", "first.weight"):
            rate, decay = (0.02, 0.5) if name.startswith("body") else (0.05, 0.1)
            torch.testing.assert_close(after[name], before[name] * (1 - rate * decay))

    def test_a_group_left_out_stays(self) -> None:
        objective = Tiny()
        body = list(objective.body.parameters())
        objective.parameter_groups = lambda phase="main": [  # type: ignore[method-assign]
            ParameterGroup("body", body),
            ParameterGroup("nothing", []),
        ]
        head = objective.first.weight.detach().clone()
        start = objective.body[0].weight.detach().clone()
        run(objective, Rows(), steps=3)
        assert torch.equal(objective.first.weight, head)
        assert not torch.equal(objective.body[0].weight, start)

    def test_gradients_are_clipped(self) -> None:
        seen = []

        class Watched(Tiny):
            def after_step(self, context, phase="main") -> None:
                seen.append(context.step)

        sizes = []
        for clip in (0.0, 1e-9):
            objective = Watched()
            start = objective.body[0].weight.detach().clone()
            # Adam's steps hardly depend on the size of gradients unless epsilon outweighs them.
            objective.epsilon = 1.0
            run(objective, Rows(), steps=2, clip=clip, warmup=0.0)
            sizes.append(float((objective.body[0].weight.detach() - start).abs().max()))
        assert sizes[0] > 1e3 * sizes[1]
        assert seen == [0, 1, 0, 1]


class Alternating(Tiny):
    """Two phases, each with parameters of its own, as adversarial training has them."""

    phases = ("body", "heads")

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, str, int]] = []

    def forward(self, batch, context, phase="main") -> Step:
        self.calls.append(("forward", phase, context.step))
        return super().forward(batch, context)

    def parameter_groups(self, phase="main") -> list[ParameterGroup]:
        return [group for group in super().parameter_groups() if group.name == phase]

    def before_step(self, context, phase="main") -> None:
        self.calls.append(("before", phase, context.step))

    def after_step(self, context, phase="main") -> None:
        self.calls.append(("after", phase, context.step))


def test_phases_take_turns_within_a_step(tmp_path: Path) -> None:
    objective = Alternating()
    run(objective, Rows(), tmp_path / "whole", steps=3, save_every=1)
    assert objective.calls == [
        (what, phase, step)
        for step in range(3)
        for phase in ("body", "heads")
        for what in ("forward", "before", "after")
    ]
    # Each phase has the state of its optimiser: the run resumes as it went on.
    resumed = Alternating()
    run(Alternating(), Rows(), tmp_path / "cut", steps=3, save_every=2)
    run(resumed, Rows(), tmp_path / "cut", steps=3, save_every=2)
    assert weights(resumed) == weights(objective)


class Timed(Rows):
    """Rows of half a second; most: how many batches were in memory at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.alive = self.most = 0

    def batch(self, indices: np.ndarray, epoch: int) -> Batch:
        found = super().batch(indices, epoch)
        found.lengths, found.rates = {"x": np.ones(len(indices), dtype=np.int64)}, {"x": 2.0}
        self.alive += 1
        self.most = max(self.most, self.alive)
        # A tensor on a CPU is a view of it: gone when both are.
        weakref.finalize(found.streams["x"], self._gone)
        return found

    def _gone(self) -> None:
        self.alive -= 1


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_batch_is_read_once_and_counted_once_whatever_the_phases(
    accumulate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[float] = []
    monkeypatch.setattr(History, "add_seconds", lambda history, seconds: counted.append(seconds))
    batches = Timed()
    run(Alternating(), batches, epochs=2, accumulate=accumulate)
    plan = [(epoch, part.tolist()) for epoch in (0, 1) for part in batches.plan(epoch)]
    assert batches.seen == plan
    sizes = [len(part) for _, part in plan]
    assert counted == [sum(sizes[n : n + accumulate]) / 2 for n in range(0, len(plan), accumulate)]
    # Those of one step, not of two.
    assert batches.most == accumulate


def test_the_best_epoch_is_kept(tmp_path: Path) -> None:
    scores = iter([0.1, 0.7, 0.7, 0.2])
    kept = []

    def evaluate(objective: Tiny, rows: object) -> dict[str, float]:
        assert not objective.training and not torch.is_grad_enabled()
        kept.append(weights(objective))
        return {"ua": next(scores), "other": 1.0}

    objective = Tiny(dropout=0.2)
    outcome = run(
        objective, Rows(), tmp_path, epochs=4, run_options={"evaluate": evaluate, "select": "ua"}
    )
    # Of equally good epochs the first.
    assert outcome.best == {"ua": 0.7, "other": 1.0, "epoch": 2.0}
    assert weights(objective) == kept[1] != kept[2]
    lines = [line for line in history(tmp_path / "history.jsonl") if "ua" in line]
    assert [(line["epoch"], line["ua"]) for line in lines] == [
        (1, 0.1),
        (2, 0.7),
        (3, 0.7),
        (4, 0.2),
    ]


def test_without_a_selection_the_last_epoch_is_kept() -> None:
    kept = []

    def evaluate(objective: Tiny, rows: object) -> dict[str, float]:
        kept.append(weights(objective))
        return {"ua": -float(len(kept))}

    objective = Tiny()
    outcome = run(objective, Rows(), epochs=3, run_options={"evaluate": evaluate})
    assert weights(objective) == kept[-1] and outcome.best == {}


def test_history_holds_means_over_its_intervals(tmp_path: Path) -> None:
    options = {"steps": 8, "run_options": {"tags": {"run": 2, "fold": 1}}}
    run(Tiny(), Rows(), tmp_path / "every", log_every=1, **options)
    run(Tiny(), Rows(), tmp_path / "third", log_every=3, **options)
    every, third = (history(tmp_path / n / "history.jsonl") for n in ("every", "third"))
    assert [line["step"] for line in every] == list(range(1, 9))
    assert [line["step"] for line in third] == [1, 3, 6, 8]
    assert all(line["run"] == 2 and line["fold"] == 1 for line in every + third)
    # Sums over counts, not means of means: the last batch of an epoch has two rows, not four.
    sizes = [len(part) for part in [*Rows().plan(0), *Rows().plan(1)]]
    summed = sum(every[i]["first"] * sizes[i] for i in (3, 4, 5))
    assert third[2]["first"] == pytest.approx(summed / sum(sizes[3:6]), rel=1e-5)


def test_the_last_line_is_of_the_last_epoch(tmp_path: Path) -> None:
    run(Tiny(), Rows(), tmp_path, epochs=2, log_every=1000)
    assert [line["epoch"] for line in history(tmp_path / "history.jsonl")] == [0, 1]


class TestDevices:
    def test_names(self) -> None:
        assert device.resolve_device("cpu") == torch.device("cpu")
        with pytest.raises(UsageError, match="--device toaster"):
            device.resolve_device("toaster")

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
    def test_no_cuda_is_said(self) -> None:
        assert device.resolve_device("auto") == torch.device("cpu")
        with pytest.raises(UsageError, match="no CUDA device"):
            device.resolve_device("cuda:1")


def test_the_rate_decays_by_steps_of_epochs(tmp_path):
    """decay^(epoch // every), whatever the schedule: epochs 0 and 1, 2 and 3, 4."""
    run(
        Tiny(), Rows(), tmp_path / "run", epochs=5, schedule="constant", warmup=0.0, decay=0.1,
        decay_every=2, log_every=1,
    )  # fmt: skip
    lines = history(tmp_path / "run" / "history.jsonl")
    rates = {line["epoch"]: line["learning_rate"] for line in lines}
    assert rates == pytest.approx({0: 0.02, 1: 0.02, 2: 0.002, 3: 0.002, 4: 0.0002})
