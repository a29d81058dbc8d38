"""Weight files of other programs, and the settings in them or beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from avaffect.core import faults, unchanged
from avaffect.core.checkpoint_header import METADATA_KEY
from avaffect.core.errors import DataError
from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.training.foreign_files import CONFIGURATION, PARTS, PREPROCESSORS, read_json
from avaffect.training.unpickling import StandIn, unpickle

# Settings are small: larger or circular objects are none.
_MOST_SETTINGS = 100_000
_DEEPEST = 50
# Weights of fewer bits come with scales, in formats of other programs.
_PRECISIONS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# Keys of weights in other programs' files, outermost first: fairseq and many others, torch's own
# examples, Lightning, s3prl (converted, and during its training).
_WRAPPERS = ("model", "state_dict", "model_state_dict", "model_state", "model_weight", "weights",
             "Upstream", "module")  # fmt: skip
# Of models in parts, the parts' names.
_PARTS = {part.removesuffix(".") for part in PARTS.values()}
# s3prl keeps the parts of fairseq's cfg apart, and only the symbols of its dictionaries.
_S3PRL = {"model": "model_cfg", "task": "task_cfg"}
_S3PRL_SYMBOLS = "dictionaries_symbols"


@dataclass
class Foreign:
    """The content of a file or folder of another program.

    tensors        name -> tensor, as in the file
    settings       fairseq's cfg or args, Whisper's dims, or the contents of config.json; {} where
                   there is none
    preprocessor   transformers' preparation of audio, {} where it is not given
    dictionaries   fairseq's: the symbol of each row of the prediction head, for each set of units
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    preprocessor: dict[str, Any] = field(default_factory=dict)
    dictionaries: list[list[str]] = field(default_factory=list)


def read(files: Sequence[Path]) -> Foreign:
    """The content of the files of `foreign_files.files_of`.

    Raises DataError where a file is cut short or damaged or of no known kind, where it holds no
    weights, or weights that are no plain numbers, and where reading it might run code.
    """
    found = Foreign()
    for file in files:
        if file.name == CONFIGURATION:
            found.settings = found.settings or read_json(file)
        elif file.name in PREPROCESSORS:
            found.preprocessor = _preprocessor(file) or found.preprocessor
        elif _is_safetensors(file):
            found.tensors |= _checked(_safetensors(file), file)
        else:
            held = unpickle(file)
            tensors, prefix = _state_dict(held, file), PARTS.get(file.name, "")
            named = {f"{prefix}{name}": value for name, value in tensors.items()}
            found.tensors |= _checked(named, file)
            found.settings = _settings(held, file)
            found.dictionaries = _dictionaries(held, file)
        unchanged.check(file)
    return found


def _is_safetensors(path: Path) -> bool:
    """By its content: the length of a JSON header, then the header."""
    with path.open("rb") as stream:
        beginning = stream.read(9)
    length = int.from_bytes(beginning[:8], "little")
    return beginning[8:] == b"{" and length < path.stat().st_size


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            ours = METADATA_KEY in (file.metadata() or {})
        if ours:
            raise DataError(f"{path} is a checkpoint of avaffect: there is nothing to import")
        return load_file(path)
    except SafetensorError as error:
        faults.check_machine(path, error)
        raise DataError(f"{path} is no safetensors file, or is cut short ({error})") from error


def _state_dict(held: Any, path: Path) -> dict[str, Tensor]:
    """The weights of a file: itself, or the value of one of the usual keys for weights.

    Without such a key, all tensors of nested dictionaries, with the path as their name.
    """
    if isinstance(held, StandIn):
        raise DataError(
            f"{path} holds an object of the class {type(held).__name__}, which only its program "
            "can build; save its state dict alone: torch.save(model.state_dict(), FILE)"
        )
    for inner in _WRAPPERS:
        # One of VAVL's parts is called weights: beside the others it holds not all of them.
        if (
            isinstance(held, dict)
            and isinstance(held.get(inner), dict)
            and not _PARTS & held.keys() - {inner}
        ):
            held = held[inner]
    found: dict[str, Tensor] = {}
    _gather(held, "", found, set())
    return found


def _gather(held: Any, name: str, found: dict[str, Tensor], visited: set[int]) -> None:
    """Tensors of dictionaries within dictionaries, under `outer.inner`; none under numbers, which
    are keys of optimisers' states."""
    if not isinstance(held, dict) or id(held) in visited or len(visited) > _MOST_SETTINGS:
        return
    # A hostile file may be circular.
    visited.add(id(held))
    for key, value in held.items():
        if isinstance(value, Tensor):
            found[f"{name}{key}"] = value
        elif isinstance(key, str) and name.count(".") < _DEEPEST:
            _gather(value, f"{name}{key}.", found, visited)


def _checked(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Raises DataError unless all are whole, finite and plain numbers."""
    if not tensors:
        raise DataError(f"{path} holds no named weights")
    for name, value in tensors.items():
        plain = value.layout == torch.strided and not value.is_meta and not value.is_quantized
        if not plain or value.is_complex():
            raise DataError(f"{path}: {name} is no plain tensor of numbers")
        if value.is_floating_point() and value.dtype not in _PRECISIONS:
            raise DataError(
                f"{path}: {name} is quantised ({value.dtype}); weights of 16 bits or more are read"
            )
        # A small file can claim a tensor of any size by repeating one number.
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise DataError(f"{path}: {name} claims more numbers than the file holds")
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise DataError(f"{path}: {name} holds values that are no numbers")
    return tensors


def _settings(held: Any, path: Path) -> dict[str, Any]:
    """fairseq's `cfg`, or `args` of older files, s3prl's parts of it, Whisper's `dims`, or a
    configuration beside the weights: as plain dictionaries."""
    if not isinstance(held, dict):
        return {}
    parts = {part: held[key] for part, key in _S3PRL.items() if key in held}
    beside = [held.get(key) for key in ("cfg", "args", "config", "dims")]
    within = [_attributes(held.get(key)) for key in ("hyper_parameters", "hparams")]
    for value in (parts, *beside, *(inner.get(k) for inner in within for k in ("cfg", "config"))):
        plain = _Plain(path).of(value)
        if isinstance(plain, dict) and plain:
            return plain
    return {}


def _attributes(value: Any) -> dict[str, Any]:
    inner = value.state if isinstance(value, StandIn) else value
    return inner if isinstance(inner, dict) else {}


def _dictionaries(held: Any, path: Path) -> list[list[str]]:
    """The symbols of fairseq's dictionaries of targets, in their order."""
    if not isinstance(held, dict):
        return []
    plain = _Plain(path).of(held.get(_S3PRL_SYMBOLS))
    if not isinstance(plain, list):
        found = _attributes(held.get("task_state")).get("dictionaries")
        objects = _Plain(path).of(found if isinstance(found, (list, tuple)) else [])
        plain = [entry.get("symbols") for entry in objects if isinstance(entry, dict)]
    return [[str(s) for s in entry] for entry in plain if isinstance(entry, list)]


class _Plain:
    """The content of stand-ins: the attributes of a namespace, the values of omegaconf's nodes.
    Raises DataError for objects too large or too deep to be settings."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left = _MOST_SETTINGS

    def of(self, value: Any, depth: int = 0) -> Any:
        self.left -= 1
        if self.left < 0 or depth > _DEEPEST:
            raise DataError(f"{self.path}: its settings are larger or deeper than any settings are")
        if isinstance(value, StandIn):
            return self.of(_held(value.state), depth + 1)
        if isinstance(value, dict):
            return {str(key): self.of(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.of(item, depth + 1) for item in value]
        return value


def _held(state: Any) -> Any:
    """The values in an object's state: omegaconf's nodes also refer to their parents."""
    if isinstance(state, dict):
        for content in ("_content", "_val"):
            if content in state:
                return state[content]
    return state


def _preprocessor(path: Path) -> dict[str, Any]:
    """The settings of a feature extractor: the file itself, or a part of it.

    Raises DataError where its sampling rate is another.
    """
    found = read_json(path)
    found = found.get("feature_extractor", found)
    if not isinstance(found, dict):
        return {}
    rate = found.get("sampling_rate", SAMPLE_RATE_HZ)
    if rate != SAMPLE_RATE_HZ:
        raise DataError(
            f"{path}: this model reads audio at {rate} Hz; avaffect reads {SAMPLE_RATE_HZ} Hz alone"
        )
    return found
