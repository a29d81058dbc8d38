"""Reading weight files that others wrote: the only place in avaffect that unpickles.

A file of torch.save is a pickle, and a pickle may name any function of any module and have it
called. Here torch's own restricted unpickler (`weights_only`) builds tensors and plain containers;
every other class that a file names is replaced by an empty stand-in before it is read, and a file
that names a function, or a class of Python's own library, is refused unread.
"""

from __future__ import annotations

import hashlib
import json
import pickletools
import re
import sys
import zipfile
from _compat_pickle import IMPORT_MAPPING
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.serialization import safe_globals

from avaffect.core.errors import DataError

# Outside torch, what torch's unpickler builds itself.
_TORCH_BUILDS = {"collections.OrderedDict", "collections.Counter", "_codecs.encode"}
# Harmless names of Python's library and functions of numpy that checkpoints hold beside weights.
_STANDARD_CLASSES = {
    "argparse.Namespace", "collections.defaultdict", "datetime.datetime", "datetime.timedelta",
    "enum.Enum", "pathlib.Path", "pathlib.PosixPath", "pathlib.PurePosixPath",
    "pathlib.WindowsPath", "typing.Any", "typing.Dict", "typing.List", "typing.Optional",
    "typing.Tuple", "typing.Union",
    *(f"builtins.{n}" for n in ("bool", "bytes", "complex", "dict", "float", "frozenset", "int",
                                "list", "object", "set", "bytearray", "slice", "str", "tuple")),
}  # fmt: skip
_NUMPY_BUILDERS = {
    f"{module}.{name}"
    for module in ("numpy.core.multiarray", "numpy._core.multiarray", "numpy")
    for name in ("_reconstruct", "scalar", "dtype", "ndarray")
}
# Protocol 2, which torch.save writes, calls modules as Python 2 did: commands is subprocess.
_STANDARD_MODULES = sys.stdlib_module_names | {"nt", "posix"}
# A file before torch 1.6: magic number, protocol and system, then the object, each a pickle.
_LEGACY_PICKLES = 4
_WEIGHTS = (
    "model.safetensors", "model.safetensors.index.json",
    "pytorch_model.bin", "pytorch_model.bin.index.json",
)  # fmt: skip


@dataclass
class Foreign:
    """What a file or folder of others held.

    tensors        name -> tensor, as they stand there
    settings       fairseq's cfg or args, or the contents of config.json; {} where there is none
    preprocessor   the contents of preprocessor_config.json, {} where there is none
    symbols        fairseq's dictionary of targets: what each row of the prediction head stands for
    content_id     hash of the bytes read
    """

    tensors: dict[str, Tensor]
    settings: dict[str, Any] = field(default_factory=dict)
    preprocessor: dict[str, Any] = field(default_factory=dict)
    symbols: list[str] | None = None
    content_id: str = ""


class StandIn:
    """In place of an object of a class that nobody here needs; keeps its state as plain values."""

    state: Any = None

    def __new__(cls, *values: Any) -> StandIn:
        made = object.__new__(cls)
        made.state = values
        return made

    def __init__(self, *values: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state


def files_of(path: Path) -> list[Path]:
    """The files that `path` (a file, or a folder of transformers) consists of; weights come first.

    Raises DataError where there are none.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder (weights are not downloaded: give a path)")
    folder = path if path.is_dir() else path.parent
    if path.is_dir():
        found = [folder / name for name in _WEIGHTS if (folder / name).is_file()][:1]
        if not found:
            raise DataError(f"{path} holds none of {', '.join(_WEIGHTS)}: which file is meant?")
        path = found[0]
    weights = _shards(path) if path.name.endswith(".index.json") else [path]
    beside = [folder / name for name in ("config.json", "preprocessor_config.json")]
    return [*weights, *(file for file in beside if file.is_file())]


def content_id(files: list[Path]) -> str:
    """Hash of the files' bytes."""
    state = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                state.update(block)
    return "sha256:" + state.hexdigest()


def read(files: list[Path]) -> Foreign:
    """What the files of `files_of` hold.

    Raises DataError where a file is cut short or none of the known kinds, or where a pickle wants
    to run something: nothing of it is run.
    """
    found = Foreign({})
    for file in files:
        if file.name == "config.json":
            found.settings = _json(file)
        elif file.name == "preprocessor_config.json":
            found.preprocessor = _json(file)
        elif file.suffix == ".safetensors":
            found.tensors |= _safetensors(file)
        else:
            held = unpickle(file)
            found.tensors |= _tensors(held, file)
            found.settings = found.settings or _settings(held)
            found.symbols = _symbols(held)
    return found


def unpickle(path: Path) -> Any:
    """The object in a file of torch.save: tensors, plain containers, and stand-ins for the rest.

    Raises DataError as `read` does.
    """
    try:
        names = set(_names(path))
    except (ValueError, IndexError, OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is no file of torch.save, or is cut short ({error})") from error
    stand_ins = []
    for name in sorted(names - _TORCH_BUILDS):
        if _is_harmless(name):
            # Plain dicts, because torch's unpickler fills no other container.
            made = _dictionary if name == "collections.defaultdict" else _stand_in(name)
            stand_ins.append((made, name))
        elif not name.startswith("torch."):
            raise _refusal(path, name)
    try:
        with safe_globals(stand_ins):
            return torch.load(
                path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
            )
    except Exception as error:
        # torch's words give advice on how to read the file without protection: not passed on.
        unknown = re.search(r"\bGLOBAL (\S+)", str(error))
        if unknown:
            raise _refusal(path, unknown.group(1)) from error
        raise DataError(
            f"{path} cannot be read as weights ({type(error).__name__}): it is cut short, or no "
            "file of torch.save"
        ) from error


def _refusal(path: Path, name: str) -> DataError:
    return DataError(
        f"{path} asks to run {name} when it is read: refused, nothing was run. Weights need no "
        "code; get the file from where it was published"
    )


def _dictionary(*values: Any) -> dict[Any, Any]:
    return {}


def _stand_in(name: str) -> type[StandIn]:
    return type(name.rsplit(".", 1)[-1], (StandIn,), {"__module__": name.rsplit(".", 1)[0]})


def _is_harmless(name: str) -> bool:
    """Whether a stand-in may take its place: by its spelling a class, not of Python's library."""
    if name in _STANDARD_CLASSES or name in _NUMPY_BUILDERS:
        return True
    root, _, rest = name.partition(".")
    if root in _STANDARD_MODULES:
        return False
    return rest.rsplit(".", 1)[-1].lstrip("_")[:1].isupper()


def _names(path: Path) -> Iterator[str]:
    """What a file's pickles name, `module.name`, without running any of them."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as stream:
            for _ in range(_LEGACY_PICKLES):
                yield from _names_in(stream)
        return
    with zipfile.ZipFile(path) as archive:
        if any(Path(entry).name == "constants.pkl" for entry in archive.namelist()):
            raise DataError(f"{path} is a TorchScript program; its weights alone are needed")
        for entry in archive.namelist():
            if entry.endswith(".pkl"):
                with archive.open(entry) as stream:
                    yield from _names_in(stream)


def _names_in(stream: BinaryIO | Any) -> Iterator[str]:
    texts: list[str] = []
    for operation, argument, _ in pickletools.genops(stream):
        if operation.name in ("GLOBAL", "INST"):
            module, name = argument.split(" ", 1)
            yield f"{IMPORT_MAPPING.get(module, module)}.{name}"
        elif operation.name == "STACK_GLOBAL":
            yield ".".join(texts[-2:])
        elif isinstance(argument, str):
            texts = [*texts[-1:], argument]


def _tensors(held: Any, path: Path) -> dict[str, Tensor]:
    """The state dict of a file: itself, or what stands under `model` or `state_dict`."""
    for inner in ("model", "state_dict"):
        if isinstance(held, dict) and isinstance(held.get(inner), dict):
            held = held[inner]
    found = (
        {name: value for name, value in held.items() if isinstance(value, Tensor)}
        if isinstance(held, dict)
        else {}
    )
    if not found:
        raise DataError(f"{path} holds no named weights")
    return found


def _settings(held: Any) -> dict[str, Any]:
    """fairseq's `cfg`, or `args` of older files: plain dictionaries, whatever they were."""
    for key in ("cfg", "args"):
        value = _plain(held.get(key)) if isinstance(held, dict) else None
        if isinstance(value, dict) and value:
            return value
    return {}


def _plain(value: Any) -> Any:
    """Stand-ins as what they held: the attributes of a namespace."""
    if isinstance(value, StandIn):
        return _plain(value.state)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _symbols(held: Any) -> list[str] | None:
    """The symbols of fairseq's only dictionary of targets; None where there is none, or several."""
    state = held.get("task_state") if isinstance(held, dict) else None
    dictionaries = _plain(state).get("dictionaries") if isinstance(state, dict) else None
    if not isinstance(dictionaries, list) or len(dictionaries) != 1:
        return None
    symbols = dictionaries[0].get("symbols") if isinstance(dictionaries[0], dict) else None
    return [str(symbol) for symbol in symbols] if isinstance(symbols, list) else None


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise DataError(f"{path} is no safetensors file, or is cut short ({error})") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} holds no JSON object")
    return found


def _shards(index: Path) -> list[Path]:
    """The files that a transformers index lists: names in its own folder alone."""
    table = _json(index).get("weight_map")
    names = sorted(set(table.values())) if isinstance(table, dict) else []
    files = [index.parent / Path(str(name)).name for name in names]
    missing = [file.name for file in files if not file.is_file()]
    if missing or not files:
        raise DataError(f"{index} lists {', '.join(missing) or 'no file'}: not there")
    return files
