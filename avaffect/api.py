"""The Python interface: every command as a function, and models on arrays.

    import avaffect

    avaffect.extract("media.h5", model="mfcc", output="mfcc.h5")
    avaffect.finetune("mfcc.h5", head="linear", output="classifier.safetensors")

A function has the options of the command as arguments (`--batch-seconds` is `batch_seconds`; the
command's arguments may be positional), with the same defaults. It raises an AvaffectError if the
command ends with another status than 0, warns through `warnings`, and prints nothing unless
`progress` is given. `help(avaffect.finetune)` lists the options.

The names of this module are attributes of `avaffect`, imported on first use.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import os
import typing
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avaffect.cli import catalogue
from avaffect.cli.catalogue import Command
from avaffect.core import scope
from avaffect.core.errors import UsageError
from avaffect.core.progress import Progress
from avaffect.core.streams import FACE, SAMPLE_RATE_HZ, WAVEFORM
from avaffect.data.manifest import Manifest
from avaffect.data.manifest import read as _read_manifest

if TYPE_CHECKING:
    from avaffect.core.batch import Batch
    from avaffect.models.encoder import Encoder

STANDARD_STREAM = Path("-")
# Streams with a known rate.
RATES_HZ = {WAVEFORM: float(SAMPLE_RATE_HZ), FACE: 25.0}
# Settings of the command line alone, and why functions do not have them.
SHOWN = ("json",)


class Warnings(Progress):
    """Silent progress; warnings of a command become Python warnings."""

    def warn(self, message: str) -> None:
        warnings.warn(message, stacklevel=2)


def names() -> list[str]:
    """The names of the commands' functions: `pretrain_apc` for `pretrain-apc`, `import_`."""
    return [_spelling(name) for name in catalogue.every()]


def function(name: str) -> Callable[..., Any] | None:
    """The function of a command; None if there is no such command.

    It returns the path of the output; of commands that score a report or a list of reports, which
    are dataclasses (`report.ua`; `report.to_dict()` gives the JSON of --json); descriptions of
    `info`; None of `check`.
    """
    command = catalogue.find(name.removesuffix("_").replace("_", "-"))
    if command is None or _spelling(command.name) != name:
        return None
    settings_class = catalogue.imported(command.settings)

    def call(*arguments: Any, progress: Progress | None = None, **options: Any) -> Any:
        given = signature.bind(*arguments, **options).arguments
        settings = _settings(command, settings_class, given)
        return _run(command, settings, Warnings() if progress is None else progress)

    signature = _signature(settings_class)
    call.__name__ = call.__qualname__ = name
    call.__doc__ = _documentation(command, settings_class)
    call.__signature__ = signature  # type: ignore[attr-defined]
    return call


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """A manifest of any content, read whole: iterate over it for its items, dictionaries.

    Raises DataError if it is missing, truncated or not a manifest.
    """
    return _read_manifest(Path(path))


def load_encoder(path: str | os.PathLike[str], device: str = "cpu") -> Encoder:
    """The encoder of a checkpoint, a torch module in evaluation mode.

    `encoder(make_batch(waveform=[...]))` gives frames, `values` (B, T, dim) and `lengths` (B,), or
    tokens, `values` (B, N, dim) and `valid` (B, N); `layer=n` those of a layer, from 1 to its
    `depth`, `encoder.every_layer(batch)` all of them side by side; `.mean()` one vector an
    utterance. Its `streams`, `dim` and, of frames, `rate_hz` say what it reads and gives.

    Raises DataError if the file is not an encoder.
    """
    from avaffect.recipes.encoding.checkpoints import load_encoder as load
    from avaffect.training.device import resolve_device

    return load(Path(path), resolve_device(device))[0]


def make_batch(
    *, rates_hz: dict[str, float] | None = None, device: str = "cpu", **streams: Sequence[Any]
) -> Batch:
    """A batch for an encoder, from arrays or tensors of different lengths.

    streams: name -> for each utterance its steps (T, ...), or None: waveform (S,)
        int16, or float with full scale at 1.0, at 16 kHz; face (T, H, W, C) uint8, 25 a second.
    rates_hz: steps per second of other streams, or of faces at another rate.

    Raises ValueError if streams have different numbers of utterances, a stream is missing in all of
    them, or its rate is unknown.
    """
    import numpy as np
    import torch

    from avaffect.core.batch import Batch

    counts = {name: len(values) for name, values in streams.items()}
    if len(set(counts.values())) != 1:
        raise ValueError(f"all streams must have the same number of utterances, not {counts}")
    batch = Batch(ids=[str(row) for row in range(next(iter(counts.values())))])
    rates = {**RATES_HZ, **(rates_hz or {})}
    for name, values in streams.items():
        if name not in rates:
            raise ValueError(f"the rate of the stream {name!r} is unknown: give it in rates_hz")
        # Copied, as arrays of a store are mapped and read-only.
        steps = [
            value if value is None or isinstance(value, torch.Tensor)
            else torch.from_numpy(np.array(value))
            for value in values
        ]  # fmt: skip
        known = [step for step in steps if step is not None]
        if not known:
            raise ValueError(f"no utterance has the stream {name!r}: leave it out")
        filled = [known[0][:0] if step is None else step for step in steps]
        padded = torch.nn.utils.rnn.pad_sequence(filled, batch_first=True)
        batch.streams[name] = padded.to(device)
        batch.lengths[name] = torch.tensor([len(step) for step in filled], device=device)
        batch.present[name] = batch.lengths[name] > 0
        batch.rates[name] = rates[name]
    return batch


def _spelling(name: str) -> str:
    return "import_" if name == "import" else name.replace("-", "_")


def _fields(settings_class: type) -> list[dataclasses.Field[Any]]:
    return [item for item in dataclasses.fields(settings_class) if item.name not in SHOWN]


def _signature(settings_class: type) -> inspect.Signature:
    """Positional parameters first, then options by name; with `progress`."""
    fields = sorted(_fields(settings_class), key=lambda item: not item.metadata["positional"])
    parameters = []
    for item in fields:
        by_place = item.metadata["positional"]
        kind = (
            inspect.Parameter.POSITIONAL_OR_KEYWORD if by_place else inspect.Parameter.KEYWORD_ONLY
        )
        is_needed = item.default in (dataclasses.MISSING, STANDARD_STREAM)
        default = inspect.Parameter.empty if is_needed else item.default
        parameters.append(inspect.Parameter(item.name, kind, default=default))
    return inspect.Signature(parameters)


def _documentation(command: Command, settings_class: type) -> str:
    lines = [command.help, "", inspect.getdoc(settings_class) or "", "", "Args:"]
    for item in _fields(settings_class):
        lines.append(f"    {item.name}: {item.metadata['help']}")
    return "\n".join(lines)


def _settings(command: Command, settings_class: type, given: dict[str, Any]) -> Any:
    """The settings object from plain values. Raises UsageError for an invalid choice, or if a
    manifest would go to standard output."""
    hints = typing.get_type_hints(settings_class)
    choices = {item.name: item.metadata["choices"] for item in _fields(settings_class)}
    values = {}
    for name, value in given.items():
        try:
            values[name] = _plain(value, hints[name])
        except TypeError as error:
            raise UsageError(f"{name}={value!r}: {error}") from error
    for name, value in values.items():
        for one in value if isinstance(value, tuple) else (value,):
            if choices[name] and one is not None and one not in choices[name]:
                raise UsageError(f"{name}={one!r}: expected {', '.join(choices[name])}")
    settings = settings_class(**values)
    if "output" in hints and settings.output is None and command.writes != "report":
        raise UsageError(f"{command.name} needs the name of its output: output=...")
    return settings


def _plain(value: Any, hint: Any) -> Any:
    """A string converted to a path, and one value or a list to a tuple, as the settings need."""
    options = typing.get_args(hint) if type(None) in typing.get_args(hint) else (hint,)
    hint = next(option for option in options if option is not type(None))
    if value is None:
        return None
    if typing.get_origin(hint) is tuple:
        is_one = isinstance(value, (str, os.PathLike)) or not isinstance(value, Sequence)
        return tuple(
            _plain(each, typing.get_args(hint)[0]) for each in ([value] if is_one else value)
        )
    if hint is Path:
        return Path(value)
    if hint in (int, float) and isinstance(value, str):
        raise TypeError("expected a number")
    return value if hint is not str else str(value)


def _run(command: Command, settings: Any, progress: Progress) -> Any:
    if command.name == "info":
        from avaffect.recipes.info import info

        return [info(path, settings.lineage) for path in settings.files]
    call = command.call
    if call.startswith("avaffect.cli."):
        # The recipe itself, whose result is not printed.
        name = command.name.replace("-", "_")
        call = f"avaffect.recipes.{name}:{name}"
    module, _, name = call.partition(":")
    with scope.of_command(settings, progress):
        returned = getattr(importlib.import_module(module), name)(settings, progress)
    if command.writes == "report" or not hasattr(settings, "output"):
        return returned
    return returned if isinstance(returned, Path) else settings.output
