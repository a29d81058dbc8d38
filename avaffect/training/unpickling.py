"""Files of torch.save from other programs.

Such a file is a pickle, and a pickle may name any function of any module and have it called. Here
torch's own restricted unpickler (`weights_only`) builds tensors and plain containers; every class
that a file names besides is replaced by an empty stand-in before it is read, and a file that names
a function, or a class of Python's library that is no plain value, is refused unread. Tables in
pickles are read by core/plain_pickles.py; nothing else in avaffect unpickles.
"""

from __future__ import annotations

import pickletools
import re
import sys
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch.serialization import safe_globals

from avaffect.core import faults
from avaffect.core.errors import DataError
from avaffect.core.unpacking import check_unpacked

# Classes that torch's unpickler builds itself, outside torch.
_TORCH_BUILDS = {"collections.OrderedDict", "collections.Counter", "_codecs.encode"}
# Plain values of Python's library, and numpy's constructors of its own, that occur beside weights.
_PLAIN_MODULES = {
    "collections", "datetime", "decimal", "enum", "fractions", "numbers", "pathlib",
    "pathlib._local", "typing", "uuid", "numpy.random._pickle",
}  # fmt: skip
_PLAIN_NAMES = {
    "argparse.Namespace", "types.SimpleNamespace",
    *(f"builtins.{n}" for n in ("bool", "bytearray", "bytes", "complex", "dict", "float",
                                "frozenset", "int", "list", "object", "range", "set", "slice",
                                "str", "tuple")),
    *(f"{module}.{name}" for module in ("numpy.core.multiarray", "numpy._core.multiarray", "numpy")
      for name in ("_reconstruct", "scalar", "dtype", "ndarray")),
}  # fmt: skip
_STANDARD_MODULES = sys.stdlib_module_names | {"nt", "posix"}
# A file before torch 1.6: magic number, protocol and system, then the object, each a pickle.
_LEGACY_PICKLES = 4
_BEGINNINGS = {
    b"version https://git-lfs": "is a pointer of git-lfs: run `git lfs pull`",
    b"<": "is a web page, or XML: the download went wrong",
    b"RIFF": "is an audio or video recording",
}


class StandIn:
    """In place of an object of a class that is not needed here; keeps its state as plain values."""

    state: Any = None

    def __new__(cls, *values: Any) -> StandIn:
        made = object.__new__(cls)
        made.state = values
        return made

    def __init__(self, *values: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state


def unpickle(path: Path) -> Any:
    """The object in a file of torch.save: tensors, plain containers, and stand-ins for the rest.

    Raises DataError where it is cut short or damaged, is no such file, or would run code: none of
    it is run.
    """
    with path.open("rb") as stream:
        beginning = stream.read(64).lstrip()
    for known, what in _BEGINNINGS.items():
        if beginning.startswith(known):
            raise DataError(f"{path} {what}")
    zipped = zipfile.is_zipfile(path)
    try:
        stored = _check_archive(path) if zipped else False
        names = set(_names(path, zipped))
        stand_ins = [_stand_in(path, name) for name in sorted(names - _TORCH_BUILDS)]
        with safe_globals([entry for entry in stand_ins if entry is not None]):
            # Mapped memory is the file's bytes, which must therefore not be compressed.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=stored)
    except DataError:
        raise
    except Exception as error:
        faults.check_machine(path, error)
        raise _explained(path, error) from error


def _check_archive(path: Path) -> bool:
    """Whether nothing in a zip file is compressed. Raises DataError where it is damaged."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(Path(entry.filename).name == "constants.pkl" for entry in entries):
            raise DataError(f"{path} is a TorchScript program; its weights alone are needed")
        for entry in entries:
            check_unpacked(path, entry)
        damaged = archive.testzip()
    if damaged is not None:
        raise DataError(f"{path} is damaged: {damaged} is not what was written")
    return all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)


def _names(path: Path, zipped: bool) -> Iterator[str]:
    """The names in a file's pickles, `module.name`, without running any of them."""
    if not zipped:
        with path.open("rb") as stream:
            for _ in range(_LEGACY_PICKLES):
                yield from _names_in(stream)
        return
    with zipfile.ZipFile(path) as archive:
        for entry in archive.namelist():
            if entry.endswith(".pkl"):
                with archive.open(entry) as stream:
                    yield from _names_in(stream)


def _names_in(stream: BinaryIO | Any) -> Iterator[str]:
    texts: list[str] = []
    for operation, argument, _ in pickletools.genops(stream):
        if operation.name in ("GLOBAL", "INST") and argument is not None:
            # Protocol 2, which torch.save writes, spells names as Python 2 did.
            module, name = argument.split(" ", 1)
            module, name = NAME_MAPPING.get(
                (module, name), (IMPORT_MAPPING.get(module, module), name)
            )
            yield f"{module}.{name}"
        elif operation.name == "STACK_GLOBAL":
            yield ".".join(texts[-2:])
        elif isinstance(argument, str):
            texts = [*texts[-1:], argument]


def _stand_in(path: Path, name: str) -> tuple[Any, str] | None:
    """The stand-in for a named class; None where torch builds it.

    Raises DataError for a function, and for a class of Python's library that is no plain value.
    """
    module, _, last = name.rpartition(".")
    root = name.partition(".")[0]
    a_class = root not in _STANDARD_MODULES and last.lstrip("_")[:1].isupper()
    if name in _CONTAINERS:
        return _CONTAINERS[name], name
    if a_class or name in _PLAIN_NAMES or module in _PLAIN_MODULES:
        return type(last, (StandIn,), {"__module__": module}), name
    if root == "torch":
        return None
    raise _refusal(path, name)


def _dictionary(*values: Any) -> dict[Any, Any]:
    return {}


def _list(*values: Any) -> list[Any]:
    return []


# torch's unpickler fills no containers but plain ones.
_CONTAINERS = {"collections.defaultdict": _dictionary, "collections.deque": _list}


def _refusal(path: Path, name: str) -> DataError:
    return DataError(
        f"{path} names {name}, which reading it might run: refused, nothing was run. Weights need "
        "no code; where you trust the file, save its state dict alone with torch.save"
    )


def _explained(path: Path, error: Exception) -> DataError:
    """torch's message without its advice on how to read the file unprotected."""
    unknown = re.search(r"\bGLOBAL (\S+)", str(error))
    if unknown:
        return _refusal(path, unknown.group(1))
    reason = re.search(r"WeightsUnpickler error:\s*([^\n]+)", str(error))
    words = reason.group(1) if reason else type(error).__name__
    return DataError(
        f"{path} cannot be read as weights ({words.strip()}): it is cut short, no file of "
        "torch.save, or holds objects that are not needed; a file of its state dict alone, as "
        "torch.save writes it, can be read"
    )
