"""How a command's settings are declared: once, as a frozen dataclass that imports no torch.

The command line builds its options from the fields, the recipe takes the whole object, and
provenance records the fields that affect the result. A field's role says which is which:

    setting   affects the result: recorded in provenance
    input     a path: recorded as a reference with a content id, not as a setting
    output    a path: not recorded
    runtime   jobs, device, saving interval: changes nothing in the result, not recorded
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any

from avaffect.core.errors import UsageError
from avaffect.core.launch import shard_text

DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


def argument(help: str, *, default: Any = MISSING, metavar: str | None = None) -> Any:
    """A positional input path. With a default it may be left out; a tuple takes several."""
    return _field(default, help, (), "input", None, metavar, positional=True)


def option(
    default: Any,
    help: str,
    *flags: str,
    role: str = "setting",
    choices: tuple[str, ...] | None = None,
    metavar: str | None = None,
) -> Any:
    """An option; its long flag is the field's name unless `flags` are given.

    MISSING as the default makes it required. A tuple field may be repeated.
    """
    return _field(default, help, flags, role, choices, metavar)


def _field(
    default: Any,
    help: str,
    flags: tuple[str, ...],
    role: str,
    choices: tuple[str, ...] | None,
    metavar: str | None,
    positional: bool = False,
) -> Any:
    metadata = {
        "help": help,
        "flags": flags,
        "role": role,
        "choices": choices,
        "metavar": metavar,
        "positional": positional,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Common:
    """What every command takes."""

    output: Path | None = option(
        None, "Write here instead of to standard output.", "-o", "--output", role="output"
    )
    force: bool = option(
        False, "Overwrite an output made from other inputs.", "-f", "--force", role="runtime"
    )
    dry_run: bool = option(
        False, "Check the inputs, say what would be done, do nothing.", "-n", "--dry-run",
        role="runtime",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Seeded(Common):
    """Commands that draw random numbers."""

    seed: int = option(0, "Seed of every random draw.", "--seed")


@dataclass(frozen=True, kw_only=True)
class Computing(Seeded):
    """Commands that run a model. Raises UsageError for what is no device."""

    device: str = option(
        "auto", "auto, cpu, cuda or cuda:N.", "--device", role="runtime", metavar="DEVICE"
    )

    def __post_init__(self) -> None:
        if not DEVICE.fullmatch(self.device):
            raise UsageError(f"--device {self.device}: expected auto, cpu, cuda or cuda:N")
        if self.device == "cpu" and getattr(self, "precision", None) == "16":
            raise UsageError("--precision 16 is for GPUs; on a CPU use --precision bf16")


@dataclass(frozen=True, kw_only=True)
class Resumable(Common):
    """Commands whose work is saved while it goes on."""

    fresh: bool = option(
        False, "Discard the saved state of an earlier run.", "--fresh", role="runtime"
    )


@dataclass(frozen=True, kw_only=True)
class Batched(Computing):
    """Commands that apply a model to batches. Raises UsageError for batches of no length."""

    batch_seconds: float = option(80.0, "Padded seconds per batch.", "--batch-seconds")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_above_zero(self, "batch_seconds")


def check_above_zero(settings: Any, *names: str) -> None:
    """Raises UsageError naming the first of these options that is not above 0."""
    for name in names:
        if not getattr(settings, name) > 0:
            flag = name.replace("_", "-")
            raise UsageError(f"--{flag} {getattr(settings, name)}: it is above 0")


def check_layer(layer: int | None) -> None:
    """Raises UsageError for a layer that no encoder has."""
    if layer is not None and layer < 1:
        raise UsageError(f"--layer {layer}: layers are counted from 1")


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Commands that read labels."""

    label: str = option("emotion", "The label to read.", "--label", metavar="NAME")
    classes: str | None = option(
        None,
        "Which classes, in which order: anger,happiness,neutral. happiness=excitement+happiness "
        "merges classes under one name. Others are left out.",
        "--classes",
        metavar="LIST",
    )
    annotations: Path | None = option(
        None,
        "Manifest whose labels, splits and folds stand over those in the store, by id.",
        "--annotations",
        role="input",
        metavar="M.jsonl",
    )


@dataclass(frozen=True, kw_only=True)
class Sharded(Common):
    """Commands that do a part of their work. The shard is resolved here, before it is recorded:
    `slurm` is another part in every task of a job array.

    Raises UsageError for what is no shard.
    """

    shard: str | None = option(
        None,
        "Do the I-th (from 0) of N parts, or `slurm`: this task's part in a job array. "
        "Merging all parts in order gives what one run would.",
        "--shard",
        metavar="I/N",
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "shard", shard_text(self.shard))


RATERS = ("mean", "median", "ewe", "ewe-loo")


@dataclass(frozen=True, kw_only=True)
class Rated:
    """Commands that read traces of several raters."""

    raters: str = option(
        "mean",
        "The gold standard of traces with several raters: their mean, median, or evaluator "
        "weighted estimator, by the correlation with all raters or with the others (loo).",
        "--raters",
        choices=RATERS,
    )


MODALITIES = ("audio", "video", "av")


@dataclass(frozen=True, kw_only=True)
class Modal:
    """Commands whose encoder may read several modalities."""

    modality: str | None = option(
        None,
        "Use sound, pictures or both (av) of the recordings, where the encoder reads them; by "
        "default all that is there.",
        "--modality",
        choices=MODALITIES,
    )


def semantic(settings: Any) -> dict[str, Any]:
    """The fields that affect the result, JSON-able, for provenance."""
    return {
        item.name: _plain(getattr(settings, item.name))
        for item in dataclasses.fields(settings)
        if item.metadata.get("role", "setting") == "setting"
    }


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
