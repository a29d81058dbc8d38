"""`adapt --method fixmatch` and `cdac` on two ranks: the losses, weights and steps of one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke
from forked import client
from ranks import on_two_ranks
from safetensors.torch import load_file, save_file
from test_combined import TwoPhases, combined
from tiny_training import history, run
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.models.recurrent import RecurrentConfiguration, RecurrentEncoder
from avaffect.objectives.combined import Combined
from avaffect.objectives.semi_supervised import CDAC, FixMatch
from avaffect.objectives.sound_augmentation import SoundAugmentation
from avaffect.objectives.weak_and_strong import Views
from avaffect.signal.sound.rooms import Room
from avaffect.signal.sound.speed import perturbed

TESTS = Path(__file__).resolve().parent
PAIRS = 9


VIEWS = Views(SoundAugmentation((Room(), perturbed), masks=True))
METHODS = {
    "fixmatch": FixMatch(VIEWS, confidence=0.502, weight=0.5),
    "cdac": CDAC(VIEWS, 0.502, 0.5, ranked=1, consistency_weight=30.0, ramp=3),
}


def objective(name: str) -> Combined:
    torch.manual_seed(0)
    encoder = RecurrentEncoder(RecurrentConfiguration(bands=80, layers=1, hidden=6, dim=4))
    return combined(encoder, None, unlabelled=METHODS[name])


class Pairs:
    """Queries and what was retrieved for them; the last batch is of one pair."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self.sound = random.integers(-9000, 9000, (2 * PAIRS, 6000)).astype(np.int16)
        self.sound //= np.arange(1, 2 * PAIRS + 1, dtype=np.int16)[:, None]

    def plan(self, epoch: int) -> list[np.ndarray]:
        return [np.arange(PAIRS)[:4], np.arange(PAIRS)[4:-1], np.arange(PAIRS)[-1:]]

    def batch(self, indices: np.ndarray, epoch: int) -> Batch:
        rows = np.concatenate([indices, PAIRS + indices])
        lengths = np.full(len(rows), 6000)
        return Batch(
            ids=[str(row) for row in rows],
            streams={"waveform": self.sound[rows]},
            lengths={"waveform": lengths},
            present={"waveform": lengths > 0},
            rates={"waveform": 16000.0},
            labels={"emotion": rows % PAIRS % 2},
            domain=(rows >= PAIRS).astype(np.int64),
        )


def trained(name: str, folder: Path) -> dict[str, Tensor]:
    whole = objective(name)
    run(whole, Pairs(), folder, epochs=2, log_every=1, learning_rate=1e-2)
    return {key: value.contiguous() for key, value in whole.state_dict().items()}


def _on_rank(rank: int, folder: Path, name: str) -> None:
    save_file(trained(name, folder / "two"), folder / "two" / f"rank-{rank}.safetensors")


@pytest.mark.parametrize("name", METHODS)
def test_two_ranks_train_as_one(name: str, tmp_path: Path) -> None:
    """Up to rounding: terms, what they count, and weights after steps, one of a batch that leaves a
    rank without a pair of its own."""
    alone, before = trained(name, tmp_path / "one"), objective(name).state_dict()
    on_two_ranks(_on_rank, tmp_path, name)
    one, two = (history(tmp_path / n / "history.jsonl") for n in ("one", "two"))
    terms = {"emotion", "domain", "pseudo_label", "confident"}
    assert terms <= one[0].keys() and ("clustering" in one[0]) == (name == "cdac")
    assert len(one) == 6 and one[0]["confident"] > 0.1
    assert two == [pytest.approx(line, rel=1e-4, abs=1e-7) for line in one]
    for rank in (0, 1):
        found = load_file(tmp_path / "two" / f"rank-{rank}.safetensors")
        for key, tensor in alone.items():
            torch.testing.assert_close(found[key], tensor, rtol=0, atol=1e-4)
    moved = max(float((alone[key] - before[key]).abs().max()) for key in alone)
    assert moved > 1e-2


def test_what_compares_utterances_and_does_not_gather_is_not_divided() -> None:
    encoder = objective("cdac").encoder
    assert (objective("cdac").coupled, objective("cdac").gathers) == (True, True)
    assert not objective("fixmatch").coupled
    inner = TwoPhases(encoder)
    inner.coupled = True
    whole = combined(encoder, inner, unlabelled=METHODS["cdac"])
    assert (whole.coupled, whole.gathers) == (True, False)


def test_the_command_on_two_ranks(chain: Path) -> None:
    invoke(
        chain, "retrieve", "--query", "msp.h5", "--pool", "vox.h5", "--draws", 2, "-o", "r.jsonl"
    )
    found = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
         "--no-python", client(), "adapt", "r.jsonl", "--method", "cdac", "--steps", "2",
         "--ranked", "3", "--log-every", "1", "-o", "two.safetensors"],
        env={**os.environ, "PYTHONPATH": str(TESTS.parent), "OMP_NUM_THREADS": "1"},
        cwd=chain, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    lines = history(chain / "two.safetensors.metrics.jsonl")
    assert [line["step"] for line in lines] == [1, 2]
    assert {"emotion", "domain", "clustering", "consistency", "masked"} <= lines[0].keys()
