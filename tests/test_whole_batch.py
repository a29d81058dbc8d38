"""Two ranks train as one does: every training command, with all that it draws at random."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import invoke
from double import double_precision
from ranks import by_itself, on_two_ranks
from safetensors.torch import load_file
from tiny_training import history
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.core.errors import FAILURE
from avaffect.core.faults import RANK_LOST
from avaffect.data.batches import Bucketed
from avaffect.models import transformer
from avaffect.models.dropout import TorchDropout
from avaffect.models.transformer import TransformerConfiguration, TransformerEncoder
from avaffect.objectives.base import Objective
from avaffect.signal import ranks
from avaffect.training.device import make_fabric
from avaffect.training.gathering import Division

WRITTEN = Path(__file__).parent / "fixtures" / "v0.1"
STORES = ("labelled.h5", "pool.h5")
UNITS = ("--units", "labelled-units.h5", "--units", "pool-units.h5")
# The last batch is of one utterance: a rank has none of its own.
QUICK = ("--learning-rate", 1e-3, "--log-every", 1, "--batch-utterances", 7, "--steps", 2)
NEW = (*STORES, "--preset", "nano", *QUICK)
COMMANDS: dict[str, tuple[object, ...]] = {
    "hubert": ("pretrain-hubert", *NEW, *UNITS, "--unmasked-weight", 0.5, "--accumulate", 2),
    "avhubert": ("pretrain-hubert", *NEW, *UNITS, "--modality", "av", "--modality-dropout", 0.5),
    "input": ("pretrain-hubert", *NEW, *UNITS, "--modality", "av", "--masking", "input"),
    "apc": ("pretrain-apc", *NEW),
    "cpc": ("pretrain-cpc", *NEW, "--ahead", 3, "--negatives", 7),
    "cpc-clip": ("pretrain-cpc", *NEW, "--ahead", 3, "--negatives", 7, "--negatives-from", "clip"),
    "pase": ("pretrain-pase", *NEW, "--without", "prosody", "--without", "lps"),
    "odd": ("pretrain-odd", *NEW),
    "odd-group": ("pretrain-odd", *NEW, "--variant", "group", "--group", 3),
    "l1": ("pretrain-l1", *NEW, "--odd-weight", 0.33, "--pictures", 2),
    "lira": ("pretrain-lira", *NEW, "--blocks", 1),
    "mae": ("pretrain-mae", *NEW, "--pictures", 2),
    "byol": ("pretrain-byol", *NEW),
    "dino": ("pretrain-dino", *NEW, "--local-views", 1, "--outputs", 24, "--frozen-epochs", 0),
    "projector": ("train-projector", "labelled.h5", "--encoder", "hubert.safetensors", *QUICK),
    "adapt": ("adapt", "retrieved.jsonl", *QUICK),
    "traces": ("finetune", "labelled.h5", "--encoder", "hubert.safetensors", *QUICK,
               "--label", "arousal", "--head", "gru"),
    "ccc": ("finetune", "labelled.h5", "--encoder", "hubert.safetensors", *QUICK,
            "--label", "arousal_mean", "--loss", "ccc=1,mse=0.5"),
    "sound": ("finetune", "labelled.h5", "--encoder", "hubert.safetensors", *QUICK,
              "--augment", "room+speed+specaugment+mixup", "--dropout", 0.3),
    "faces": ("finetune", "labelled.h5", "--encoder", "avhubert.safetensors", *QUICK,
              "--augment", "flip+crop-out+missing+salt-pepper", "--head", "gru"),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(WRITTEN, tmp_path_factory.mktemp("ranks") / "v0.1"))


def _run(rank: int | None, folder: Path, count: str) -> None:
    with double_precision():
        for name, command in COMMANDS.items():
            said = invoke(folder, *command, "-o", f"{count}-{name}.safetensors").stderr
            # One rank speaks for all.
            assert bool(said) == (rank != 1)


def apart(folder: Path, one: str, two: str) -> dict[str, float]:
    """Of two checkpoints, the largest difference of each tensor, relative where it is above 1."""
    first, second = (load_file(folder / f"{name}.safetensors") for name in (one, two))
    assert first.keys() == second.keys()
    found = {}
    for name, tensor in first.items():
        difference = (tensor.double() - second[name].double()).abs()
        found[name] = float((difference / (1 + tensor.double().abs())).max())
    return found


def test_two_ranks_train_as_one(folder: Path) -> None:
    by_itself(_run, None, folder, "one")
    on_two_ranks(_run, folder, "two", fresh=True)
    for name in COMMANDS:
        weights = apart(folder, f"one-{name}", f"two-{name}")
        assert max(weights.values()) < 1e-9, name
        files = (folder / f"{count}-{name}.safetensors.metrics.jsonl" for count in ("one", "two"))
        one, two = map(history, files)
        assert len(one) == len(two)
        for alone, together in zip(one, two):
            # What a clip is swapped with is another one of its rank.
            for key in alone.keys() - {"swapped", "workers"}:
                assert together[key] == pytest.approx(alone[key], rel=1e-6), (name, key)


def test_two_ranks_train_as_one_in_single_precision(folder: Path) -> None:
    """But for the biases of keys, which change nothing: their gradients are 0, and Adam makes steps
    of what rounding leaves."""
    command = COMMANDS["hubert"]
    invoke(folder, *command, "-o", "single.safetensors")
    on_two_ranks(_single, folder, command)
    weights = apart(folder, "single", "both")
    assert max(v for name, v in weights.items() if not name.endswith("k_proj.bias")) < 1e-5


def _single(_: int, folder: Path, command: tuple[object, ...]) -> None:
    invoke(folder, *command, "-o", "both.safetensors")


def _stopped(rank: int, folder: Path, command: tuple[object, ...]) -> None:
    """Rank 1 alone hears the signal, in its second step."""
    served, calls = Bucketed.batch, []

    def stop(self: Bucketed, indices: np.ndarray, epoch: int) -> Batch:
        calls.append(epoch)
        if rank == 1 and len(calls) == 2:
            signal.raise_signal(signal.SIGTERM)
        return served(self, indices, epoch)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Bucketed, "batch", stop)
        invoke(folder, *command, status=75)


def test_a_run_goes_on_with_another_number_of_ranks(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Objective, "epsilon", 1e-3)
    command = ("pretrain-hubert", *NEW, *UNITS, "--steps", 4)
    invoke(folder, *command, "-o", "whole.safetensors")
    on_two_ranks(_stopped, folder, (*command, "-o", "parts.safetensors"))
    assert "resumed at step 2" in invoke(folder, *command, "-o", "parts.safetensors").stderr
    assert max(apart(folder, "whole", "parts").values()) < 1e-5


def _killed(rank: int, folder: Path, command: tuple[object, ...]) -> None:
    """Rank 1 ends without a word before its first step."""
    with pytest.MonkeyPatch.context() as patched:
        if rank == 1:
            patched.setattr(Bucketed, "batch", lambda *_: os._exit(0))
        found = invoke(folder, *command, status=FAILURE).stderr
    assert RANK_LOST in found and "unexpected" not in found


def test_a_rank_that_is_lost_is_named(folder: Path) -> None:
    on_two_ranks(_killed, folder, ("pretrain-apc", *NEW, "-o", "lost.safetensors"))
    invoke(folder, "pretrain-apc", *NEW, "-o", "lost.safetensors")


class _Drops(nn.Module):
    """What depends on dropout of every kind, and on dropped layers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = TransformerEncoder(
            TransformerConfiguration(
                4, 8, 16, 2, position_kernel=4, position_groups=2, dropout=0.3,
                attention_dropout=0.3, activation_dropout=0.3, layerdrop=0.5,
            )
        )  # fmt: skip
        self.head = nn.Sequential(TorchDropout(0.4), nn.Linear(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x, torch.ones(x.shape[:2], dtype=torch.bool)).mean(1))


def _dropped(rank: int, folder: Path, x: Tensor) -> None:
    fabric, model = make_fabric("cpu", "32"), _Drops()
    torch.manual_seed(1)
    with ranks.sharing(Division(fabric, len(x), 1).part()):
        torch.save(model(x[rank::2]), folder / f"rank-{rank}.pt")


@pytest.mark.parametrize("fused", [False, True])
def test_dropout_and_dropped_layers_are_those_of_the_whole_batch(
    fused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fused:
        # As if these were long utterances.
        monkeypatch.setattr(transformer, "_EXPLICIT_FRAMES", 0)
    x = torch.randn(5, 7, 8)
    on_two_ranks(_dropped, tmp_path, x)
    model = _Drops()
    torch.manual_seed(1)
    whole = model(x)
    for rank in (0, 1):
        found = torch.load(tmp_path / f"rank-{rank}.pt")
        torch.testing.assert_close(found, whole[rank::2], rtol=0, atol=1e-5)
    assert not torch.allclose(model(x), whole, atol=1e-2)
