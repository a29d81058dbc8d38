"""Writing and reading checkpoints: one safetensors file, no pickle; see avaffect-checkpoint(5)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from avaffect.core import checkpoint_header, faults, unchanged
from avaffect.core.atomic import atomic_path
from avaffect.core.checkpoint_header import DIGEST_KEY, FORMAT, METADATA_KEY, VERSION, Header
from avaffect.core.errors import DataError
from avaffect.core.hashing import canonical_json
from avaffect.core.headers.checkpoint import CheckpointHeader, H, expected, typed
from avaffect.models import registry
from avaffect.models.heads.base import FittedHead
from avaffect.models.outline import Bounded

SPARE_NUMBERS = 1 << 26
SPARE_TENSORS = 1000
SAFETENSORS_DTYPE = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


def save(path: Path, kind: str, tensors: dict[str, Tensor], **facts: Any) -> str:
    """Write a checkpoint atomically; returns its content id.

    kind: encoder, projector, quantiser or classifier. facts: further header keys (model, labels,
    preprocessing, provenance, parents, metrics), JSON-able.
    """
    whole = {
        name: tensor.detach().to("cpu").contiguous().clone() for name, tensor in tensors.items()
    }
    # As it will be read: JSON has no tuples.
    header: Header = json.loads(
        canonical_json({"format": FORMAT, "version": VERSION, "kind": kind, **facts})
    )
    header["content_id"] = checkpoint_header.checkpoint_content_id(header, _content(whole))
    table = [[n, SAFETENSORS_DTYPE[t.dtype], list(t.shape)] for n, t in whole.items()]
    header[DIGEST_KEY] = checkpoint_header.header_digest(header, table)
    with atomic_path(path) as temporary:
        save_file(whole, temporary, metadata={METADATA_KEY: canonical_json(header)})
    return header["content_id"]


def load(
    path: Path, expect: str | tuple[str, ...] | None = None
) -> tuple[Header, dict[str, Tensor]]:
    """Header and tensors of a checkpoint.

    Raises DataError where its kind is not the expected one, or a bit of its weights has changed;
    the hash takes half a second a gigabyte.
    """
    expected = (expect,) if isinstance(expect, str) else expect or ()
    checkpoint_header.check_kind(path, *expected)
    with path.open("rb") as stream:
        header = checkpoint_header.header_in(path, stream, *expected)
        try:
            tensors = load_file(path)
        except SafetensorError as error:
            faults.check_machine(path, error)
            raise DataError(f"{path} is damaged: {error}") from error
        # The library opens the path again: it may then be another file.
        if not os.path.samestat(os.fstat(stream.fileno()), path.stat()):
            raise unchanged.replaced(path)
    unchanged.check(path)
    if not checkpoint_header.is_later(header):
        checkpoint_header.check_content(path, header, _content(tensors))
    return header, tensors


def _content(tensors: dict[str, Tensor]) -> Iterator[tuple[str, str, list[int], memoryview]]:
    """What the content id is made of, of tensors on the CPU, without copies."""
    for name in sorted(tensors):
        tensor = tensors[name]
        content = tensor.reshape(-1).view(torch.uint8).numpy()
        yield name, SAFETENSORS_DTYPE[tensor.dtype], list(tensor.shape), content.data


def write(path: Path, header: CheckpointHeader, tensors: dict[str, Tensor]) -> str:
    """Write a checkpoint atomically; returns its content id."""
    return save(path, header.kind, tensors, **header.to_dict())


def read(path: Path, kind: type[H]) -> tuple[H, dict[str, Tensor]]:
    """Header and tensors of a checkpoint of this kind; DataError where it is none."""
    header, tensors = load(path, expected(kind))
    return typed(path, header, kind), tensors


def build(
    description: registry.Description, tensors: dict[str, Tensor], path: Path, prefix: str = ""
) -> Any:
    """The module that a header describes, with the tensors under `prefix`.

    Raises DataError, naming the file, where the module is unknown or the tensors do not fit it.
    """
    sizes = [tensor.numel() for name, tensor in tensors.items() if name.startswith(prefix)]
    try:
        with bounded(sizes):
            module = registry.build(description)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    load_into(module, tensors, path, prefix)
    return module


def bounded(sizes: Sequence[int]) -> Bounded:
    """A context for making a module whose tensors have these numbers of elements, with room for
    what it computes by itself, such as windows and tables of positions."""
    return Bounded(SPARE_NUMBERS + 4 * sum(sizes), SPARE_TENSORS + 8 * len(sizes))


def load_into(module: nn.Module, tensors: dict[str, Tensor], path: Path, prefix: str = "") -> None:
    """Load the tensors under `prefix` into a module; DataError names those that do not fit."""
    chosen = {
        name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)
    }
    for place, part in module.named_modules():
        if isinstance(part, FittedHead):
            beneath = f"{place}." if place else ""
            part.make_room({n.removeprefix(beneath): t for n, t in chosen.items()
                            if n.startswith(beneath)})  # fmt: skip
    own = module.state_dict()
    missing = sorted(own.keys() - chosen.keys())
    shapes = sorted(n for n in own.keys() & chosen.keys() if own[n].shape != chosen[n].shape)
    if missing or shapes:
        raise DataError(
            f"{path} does not fit the model in its header: "
            + "; ".join(
                f"{what} {', '.join(names[:3])}{' …' if len(names) > 3 else ''}"
                for what, names in (("missing", missing), ("other shapes:", shapes))
                if names
            )
        )
    module.load_state_dict({name: chosen[name] for name in own})
