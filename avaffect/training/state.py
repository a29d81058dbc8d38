"""The state of an unfinished run, from which the same command resumes exactly.

One safetensors file, replaced atomically: trained weights, buffers, optimiser, best weights so far,
and as JSON the position in training, with a digest over all of them. There is no random state in
it: every draw is a function of the seed and the step (avaffect.core.seeds).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avaffect.core import plain_json
from avaffect.core.atomic import atomic_path
from avaffect.core.claims import LOCK
from avaffect.core.errors import DataError, OutputExistsError
from avaffect.core.hashing import canonical_json, content_id
from avaffect.core.kept import JOURNAL
from avaffect.core.writing import writing

# Commands look for a state before there is work: torch comes with the work.
if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

STATE_FILE = "state.safetensors"
MARKER = "run.json"
METRICS_SUFFIX = ".metrics.jsonl"
# Of a store that is not complete: the folder of its utterances (data/store/journal.py).
STORE = "store"
# Of adapt: the manifest that it read, beside the state.
MANIFEST = "manifest.jsonl"
# What a state says of the place in training, in every version.
POSITION = ("step", "epoch", "position", "first", "last", "best", "history_bytes", "meter")


def metrics_path(output: Path) -> Path:
    """The history of the run that makes `output`."""
    return output.with_name(output.name + METRICS_SUFFIX)


def open_folder(folder: Path, identity: str, fresh: bool) -> bool:
    """Make ready the state folder of a run; True where there is an earlier one's state to resume
    from.

    Raises OutputExistsError where the folder holds the work of a run with other inputs or settings,
    DataError where the run of that work is unknown.
    """
    if folder.is_dir() and not fresh:
        found = owner(folder)
        if found == identity:
            return True
        work = work_in(folder)
        if work is not None and found is None:
            raise DataError(
                f"{folder / MARKER} is missing or damaged: which run saved {work} there is not "
                "known; --fresh discards it"
            )
        if work is not None:
            resumed = (
                "the former options resume it"
                if "digest" in _marker(folder)
                else "it was begun by an earlier version, which resumes it: settings differ"
            )
            raise OutputExistsError(
                f"{folder} holds an unfinished run with other inputs or settings ({work}); --fresh "
                f"discards it, {resumed}"
            )
    clear(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    marker = {"identity": identity, "digest": content_id(identity)}
    with atomic_path(folder / MARKER) as temporary:
        temporary.write_text(canonical_json(marker), encoding="utf-8")
    return False


def clear(folder: Path) -> None:
    """Empty a state folder, but for its lock; an empty one is removed."""
    for path in folder.glob("*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != LOCK:
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def work_in(folder: Path) -> str | None:
    """The saved work that would be lost, in words; None where a run was stopped before its first
    step."""
    try:
        paths = sorted(folder.rglob("*"))
    except FileNotFoundError:
        # Another process has made the output, and ended, in between.
        return None
    for path in paths:
        place = path.relative_to(folder)
        partial = any(part.endswith(".partial") for part in place.parts)
        if partial or not path.is_file() or path.name in (MARKER, LOCK, MANIFEST):
            continue
        # Spool files count with their journal alone.
        if path.parent.name == STORE and path.name != JOURNAL:
            continue
        if path.name != STATE_FILE:
            return str(place)
        step = _saved_step(path)
        if step != 0:
            return f"{place}, step {'unknown' if step is None else step}"
    return None


def _saved_step(path: Path) -> int | None:
    """The step of a saved state, from its header alone; None where it cannot be read."""
    try:
        with path.open("rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        return int(json.loads(header["__metadata__"]["position"])["step"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError, MemoryError, RecursionError):
        return None


def owner(folder: Path) -> str | None:
    """The identity of the run of a state folder, where its marker is undamaged."""
    marker = _marker(folder)
    identity = marker.get("identity")
    # Folders of earlier versions have no digest.
    whole = marker.get("digest") in (None, content_id(identity))
    return identity if isinstance(identity, str) and whole else None


def _marker(folder: Path) -> dict[str, Any]:
    """The marker of a state folder; empty where it cannot be read."""
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return marker if isinstance(marker, dict) else {}


def trained_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Trained parameters and all buffers: frozen parents are not part of a run's state."""
    parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
    return {**parameters, **dict(module.named_buffers())}


def put_back(module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Copies of `trained_tensors` into their places."""
    import torch

    own = trained_tensors(module)
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)


def snapshot(
    module: nn.Module, optimisers: dict[str, torch.optim.Optimizer], best: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Copies, in memory, of all tensors of a state."""
    import torch

    tensors = {f"model/{name}": tensor for name, tensor in trained_tensors(module).items()}
    tensors |= {f"best/{name}": tensor for name, tensor in best.items()}
    for phase, optimiser in optimisers.items():
        for index, entries in optimiser.state_dict()["state"].items():
            for key, value in entries.items():
                tensors[f"optimiser/{phase}/{index}/{key}"] = torch.as_tensor(value)
    # Copies: safetensors refuses tensors that share memory.
    return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}


def save_state(folder: Path, tensors: dict[str, Tensor], position: dict[str, Any]) -> None:
    """Replace the saved state. `position` is JSON-able: step, epoch, batch, history length, …"""
    from safetensors.torch import save_file

    text = canonical_json(position)
    with atomic_path(folder / STATE_FILE) as temporary:
        save_file(tensors, temporary, metadata={"position": text, "digest": _digest(text, tensors)})


def _digest(position: str, tensors: dict[str, Tensor]) -> str:
    """Digest over the position, and the names, types, shapes and bytes of all tensors."""
    import torch

    found = hashlib.sha256(position.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(f"\0{name}\0{tensor.dtype}\0{list(tensor.shape)}\0".encode())
        found.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
    return "sha256:" + found.hexdigest()


def load_state(
    folder: Path,
    module: nn.Module,
    optimisers: dict[str, torch.optim.Optimizer],
    say: Callable[[str], None],
) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """Restore module and optimisers; returns (position, best weights), None without a state.

    Raises DataError where the file differs from what was saved; `say` gets a message for a state of
    version 1.0, which has no digest to check.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / STATE_FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            facts = file.metadata() or {}
            position = plain_json.parse(facts["position"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if set(facts) == {"position"}:
            say(f"{path} was saved by an earlier version, without a digest: damage would not show")
        elif facts.get("digest") != _digest(facts["position"], tensors):
            raise ValueError("its digest does not match")
        _restore(tensors, module, optimisers)
        lacking = sorted(set(POSITION) - set(position))
        if lacking:
            raise ValueError(f"it has no {lacking[0]}")
    except (SafetensorError, LookupError, ValueError, RuntimeError, TypeError,
            AttributeError, OverflowError) as error:  # fmt: skip
        raise DataError(f"{path} is damaged ({error}); --fresh starts again") from error
    best = {n.removeprefix("best/"): t for n, t in tensors.items() if n.startswith("best/")}
    return position, best


def _restore(
    tensors: dict[str, Tensor], module: nn.Module, optimisers: dict[str, torch.optim.Optimizer]
) -> None:
    import torch

    with torch.no_grad():
        for name, tensor in trained_tensors(module).items():
            tensor.copy_(tensors[f"model/{name}"])
    for phase, optimiser in optimisers.items():
        state: dict[int, dict[str, Tensor]] = {}
        prefix = f"optimiser/{phase}/"
        for name in tensors:
            if name.startswith(prefix):
                index, key = name[len(prefix) :].split("/")
                state.setdefault(int(index), {})[key] = tensors[name]
        whole = optimiser.state_dict()
        whole["state"] = state
        optimiser.load_state_dict(whole)
