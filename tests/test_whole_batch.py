"""Two ranks train as one does: every training command, with all that it draws at random."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from chain import invoke
from ranks import on_two_ranks
from safetensors.torch import load_file
from tiny_training import history
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from avaffect.objectives.base import Objective

WRITTEN = Path(__file__).parent / "fixtures" / "v0.1"
STORES = ("labelled.h5", "pool.h5")
UNITS = ("--units", "labelled-units.h5", "--units", "pool-units.h5")
# The last batch is of one utterance: a rank has none of its own.
QUICK = ("--learning-rate", 1e-3, "--steps", 2, "--log-every", 1, "--batch-utterances", 7)
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
    "sound": ("finetune", "labelled.h5", "--encoder", "hubert.safetensors", *QUICK,
              "--augment", "room+speed+specaugment+mixup", "--dropout", 0.3),
    "faces": ("finetune", "labelled.h5", "--encoder", "avhubert.safetensors", *QUICK,
              "--augment", "flip+crop-out+missing+salt-pepper", "--head", "gru"),
}  # fmt: skip


# Channels that are constant but for rounding, amplified by batch norm, at the kink of a ReLU: there
# the losses of the first step are what is equal.
KINKED = {"byol"}
TORCHS = _BatchNorm.forward


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(WRITTEN, tmp_path_factory.mktemp("ranks") / "v0.1"))


def _run(rank: int | None, folder: Path, count: str) -> None:
    for name, command in COMMANDS.items():
        invoke(folder, *command, "-o", f"{count}-{name}.safetensors")


def apart(folder: Path, one: str, two: str) -> dict[str, float]:
    """Of two checkpoints, the largest difference of each tensor, relative where it is above 1."""
    first, second = (load_file(folder / f"{name}.safetensors") for name in (one, two))
    assert first.keys() == second.keys()
    found = {}
    for name, tensor in first.items():
        difference = (tensor.double() - second[name].double()).abs()
        found[name] = float((difference / (1 + tensor.double().abs())).max())
    return found


def _as_defined(norm: _BatchNorm, x: Tensor) -> Tensor:
    """Batch norm of pictures in training, by moments in double precision; torch's own are less
    exact, where channels come last."""
    if not norm.training or x.ndim != 4:
        return TORCHS(norm, x)
    dims, shape, wide = (0, 2, 3), (1, -1, 1, 1), x.double()
    variance, mean = torch.var_mean(wide, dims, correction=0)
    with torch.no_grad():
        norm.num_batches_tracked += 1
        norm.running_mean.lerp_(mean.float(), norm.momentum)
        norm.running_var.lerp_(torch.var(wide, dims).float(), norm.momentum)
    scale = norm.weight / (variance + norm.eps).sqrt()
    shift = norm.bias - mean * scale
    return torch.addcmul(shift.view(shape).float(), x, scale.view(shape).float())


def test_two_ranks_train_as_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Adam makes steps of the learning rate of gradients that are 0 but for rounding.
    monkeypatch.setattr(Objective, "epsilon", 1e-3)
    with monkeypatch.context() as patched:
        patched.setattr(_BatchNorm, "forward", _as_defined)
        _run(None, folder, "one")
    on_two_ranks(_run, folder, "two")
    for name in COMMANDS:
        found = apart(folder, f"one-{name}", f"two-{name}")
        assert max(found.values()) < (5e-3 if name in KINKED else 1e-5), name
        one, two = (
            history(folder / f"{n}-{name}.safetensors.metrics.jsonl") for n in ("one", "two")
        )
        assert len(one) == len(two)
        for alone, together in zip(one, two):
            # What a clip is swapped with is another one of its rank.
            for key in alone.keys() - {"swapped", "workers"}:
                assert together[key] == pytest.approx(alone[key], rel=1e-4, abs=1e-5), (name, key)
