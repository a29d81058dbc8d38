"""How a command's settings are declared: once, as a frozen dataclass that imports no torch.

The command line builds its options from the fields, the recipe takes the whole object, and
provenance records the fields that affect the result. A field's role says which is which:

    setting   affects the result: recorded in provenance
    input     a path: recorded as a reference with a content id, not as a setting
    output    a path: not recorded
    runtime   jobs, device, saving interval: changes nothing in the result, not recorded
    permission  what is allowed that would be refused: recorded where it is given, beside the
              settings, so that the command can be given again

The range of a number is declared with it (`at_least`, `above`, `at_most`, `below`), shown in help
and manual, and checked when the settings are made.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, field
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, Union, get_args, get_origin, get_type_hints

from avaffect.core.errors import UsageError
from avaffect.core.launch import shard_text
from avaffect.core.links import followed
from avaffect.settings.class_map import ClassMap

DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


@dataclass(frozen=True)
class Range:
    """The numbers that an option accepts; None: no limit on that side."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        # NaN is in no range: each comparison with it is false.
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        """`above 0, at most 1`; empty for any number."""
        limits = {"at least": self.at_least, "above": self.above, "at most": self.at_most,
                  "below": self.below}  # fmt: skip
        return ", ".join(f"{word} {limit:g}" for word, limit in limits.items() if limit is not None)


def argument(help: str, *, default: Any = MISSING, metavar: str | None = None) -> Any:
    """A positional input path. With a default it may be left out; a tuple takes several."""
    return _field(default, help, (), "input", None, metavar, Range(), positional=True)


def option(
    default: Any,
    help: str,
    *flags: str,
    role: str = "setting",
    choices: tuple[str, ...] | None = None,
    metavar: str | None = None,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    added: bool = False,
) -> Any:
    """An option; its long flag is the field's name unless `flags` are given.

    help: a noun phrase with the unit; the default and the range are shown behind it. MISSING as the
    default makes the option required. A tuple field may be repeated. at_least, above, at_most,
    below: the range of a number, or of each number of a tuple; None as a value is in every range.
    added: the option came after the command was released: at its default it is not recorded, so
    that outputs of earlier versions stay up to date.
    """
    limits = Range(at_least, above, at_most, below)
    return _field(default, help, flags, role, choices, metavar, limits, added=added)


def _field(
    default: Any,
    help: str,
    flags: tuple[str, ...],
    role: str,
    choices: tuple[str, ...] | None,
    metavar: str | None,
    limits: Range,
    positional: bool = False,
    added: bool = False,
) -> Any:
    metadata = {
        "help": help,
        "flags": flags,
        "role": role,
        "choices": choices,
        "metavar": metavar,
        "range": limits,
        "positional": positional,
        "added": added,
    }
    return field(default=default, metadata=metadata)


def flags_of(item: dataclasses.Field) -> list[str]:
    """The spellings of an option, the long one last: -T, --temperature."""
    flags = list(item.metadata["flags"])
    if not any(flag.startswith("--") for flag in flags):
        flags.append("--" + item.name.replace("_", "-"))
    return flags


@cache
def types_of(kind: type) -> dict[str, tuple[Any, ...]]:
    """Field of a dataclass -> the types of its values: tuple for tuple[str, ...] | None, NoneType
    beside it."""
    found = {}
    for name, hint in get_type_hints(kind).items():
        one_of = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        found[name] = tuple(get_origin(one) or one for one in one_of)
    return found


def check_values(settings: Any) -> None:
    """Raises UsageError naming the first option that is None or no tuple where it must be, or whose
    number is not finite or out of its range."""
    for item in dataclasses.fields(settings):
        value, flag = getattr(settings, item.name), flags_of(item)[-1]
        if item.metadata["positional"]:
            flag = item.name
        kinds = types_of(type(settings))[item.name]  # type: ignore[arg-type]
        if value is None and type(None) not in kinds:
            raise UsageError(f"{flag} None: a value is needed")
        if tuple in kinds and not isinstance(value, (tuple, type(None))):
            raise UsageError(f"{flag} {value!r}: expected a tuple of values")
        check_range(item, value, flag)


def check_range(item: dataclasses.Field, value: Any, flag: str) -> None:
    """Raises UsageError for a number of an option that is not finite or out of its range."""
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            continue
        if not math.isfinite(number):
            raise UsageError(f"{flag} {number:g}: expected a finite number")
        if number not in item.metadata["range"]:
            shown = f"{number:g}" if isinstance(number, float) else number
            raise UsageError(f"{flag} {shown}: {item.metadata['range']}")


def given_of(settings: Any, names: Iterable[str]) -> list[str]:
    """The flags of those of these fields that are not at their default."""
    return [
        flags_of(item)[-1] for item in dataclasses.fields(settings)
        if item.name in names and getattr(settings, item.name) != item.default
    ]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of any command. Raises UsageError for a value that an option cannot have.

    examples: a shell script of two or three examples, each below a comment that says what it is
    for, or below none; help and manual end with it.
    ranks: whether processes that torchrun or srun started together share the work.
    """

    examples: ClassVar[str] = ""
    ranks: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_values(self)


@dataclass(frozen=True, kw_only=True)
class Common(Settings):
    """What every command that writes an output takes. `output` is the file at the end of its links.

    Raises UsageError for links in a loop.
    """

    output: Path | None = option(
        None, "Output file instead of standard output.", "-o", "--output", role="output"
    )
    force: bool = option(
        False,
        "Overwrite an output made from other inputs or settings.",
        "-f",
        "--force",
        role="runtime",
    )
    dry_run: bool = option(
        False, "Check the inputs, print what would be done, write nothing.", "-n", "--dry-run",
        role="runtime",
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output is not None:
            object.__setattr__(self, "output", followed(Path(self.output)))


@dataclass(frozen=True, kw_only=True)
class Seeded(Common):
    """Commands that draw random numbers."""

    seed: int = option(0, "Seed of every random draw.", "--seed", at_least=0)


@dataclass(frozen=True, kw_only=True)
class Computing(Seeded):
    """Commands that run a model. Raises UsageError for what is no device."""

    device: str = option(
        "auto", "Device: auto, cpu, cuda or cuda:N.", "--device", role="runtime", metavar="DEVICE"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
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
    """Commands that apply a model to batches."""

    batch_seconds: float = option(
        80.0, "Seconds per batch at most, padding included.", "--batch-seconds", above=0
    )


@dataclass(frozen=True, kw_only=True)
class Classed(Common):
    """Commands that choose classes of a label. Raises UsageError for another spelling."""

    classes: str | None = option(
        None,
        "Classes and their order: anger,happiness,neutral. happiness=excitement+happiness merges "
        "two classes under one name. Utterances labelled with other classes are skipped. Default: "
        "all classes that occur.",
        "--classes",
        metavar="LIST",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        ClassMap.parse(self.classes)

    @property
    def class_map(self) -> ClassMap:
        return ClassMap.parse(self.classes)


@dataclass(frozen=True, kw_only=True)
class Labelled(Classed):
    """Commands that read labels."""

    label: str = option("emotion", "Name of the label.", "--label", metavar="NAME")
    annotations: Path | None = option(
        None,
        "Manifest whose labels, speakers, splits and folds override those in the store, by id.",
        "--annotations",
        role="input",
        metavar="M.jsonl",
    )


def _shard(added: bool) -> Any:
    return option(
        None,
        "Part of the work: the I-th (from 0) of N, or `slurm`, this task's part in a job array. "
        "`merge` of all parts gives the result of a single run.",
        "--shard",
        metavar="I/N",
        added=added,
    )


@dataclass(frozen=True, kw_only=True)
class Sharded(Common):
    """Commands that do a part of their work. The shard is resolved here, before it is recorded:
    `slurm` is another part in every task of a job array.

    Raises UsageError for what is no shard.
    """

    shard: str | None = _shard(added=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "shard", shard_text(self.shard))


@dataclass(frozen=True, kw_only=True)
class ShardedLater(Sharded):
    """Commands that were released without shards."""

    shard: str | None = _shard(added=True)


@dataclass(frozen=True, kw_only=True)
class Carried(Common):
    """Commands whose work another engine may carry."""

    backend: str | None = option(
        None, "joblib's backend that carries the work: loky (processes of this machine, the "
        "default), threading, or dask, with the address of its scheduler "
        "(dask:tcp://HOST:8786); its workers see the same files.", "--backend", role="runtime",
        metavar="NAME", added=True,
    )  # fmt: skip


RATERS = ("mean", "median", "ewe", "ewe-loo")


@dataclass(frozen=True, kw_only=True)
class Rated:
    """Commands that read traces of several raters."""

    raters: str = option(
        "mean",
        "Gold standard of traces with several raters: mean, median, or evaluator weighted "
        "estimator, weighted by the correlation with all raters (ewe) or with the others "
        "(ewe-loo).",
        "--raters",
        choices=RATERS,
    )


MODALITIES = ("audio", "video", "av")


@dataclass(frozen=True, kw_only=True)
class Modal:
    """Commands whose encoder may read several modalities."""

    modality: str | None = option(
        None,
        "Modality of the input: audio, video or both (av), of those that the encoder reads. "
        "Default: all that the store has.",
        "--modality",
        choices=MODALITIES,
    )


def semantic(settings: Any) -> dict[str, Any]:
    """The fields that affect the result, JSON-able, for provenance."""
    found = {}
    for item in dataclasses.fields(settings):
        value = getattr(settings, item.name)
        is_as_before = item.metadata["added"] and value == item.default
        if item.metadata["role"] == "setting" and not is_as_before:
            found[item.name] = _plain(value)
    return found


def permissions(settings: Any) -> dict[str, Any]:
    """What these settings allow that would be refused, for provenance."""
    return {
        item.name: _plain(value)
        for item in dataclasses.fields(settings)
        if item.metadata["role"] == "permission"
        and (value := getattr(settings, item.name)) != item.default
    }


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
