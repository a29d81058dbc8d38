"""The state of an unfinished run, from which the same command resumes exactly.

One safetensors file, replaced atomically: trained weights, buffers, optimiser, best weights so far,
and as JSON where training stands. There is no random state in it: every draw is a function of
the seed and the step (avaffect.core.seeds).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avaffect.core.atomic import atomic_path
from avaffect.core.errors import DataError, OutputExistsError
from avaffect.core.hashing import canonical_json
from avaffect.core.writing import writing

# Whether there is a state is asked before there is work: torch comes with the work.
if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

STATE_FILE = "state.safetensors"
MARKER = "run.json"


def state_folder(output: Path) -> Path:
    """Where the state of the run that makes `output` is kept."""
    return output.with_name(output.name + ".state")


def metrics_path(output: Path) -> Path:
    """The history of the run that makes `output`."""
    return output.with_name(output.name + ".metrics.jsonl")


def open_folder(folder: Path, identity: str, fresh: bool) -> bool:
    """Make ready the state folder of a run; True where an earlier one left something to resume.

    Raises OutputExistsError where the folder belongs to a run with other inputs or settings.
    """
    if folder.is_dir() and not fresh:
        found = owner(folder)
        if found == identity:
            return True
        if found is not None and _holds_work(folder):
            raise OutputExistsError(
                f"{folder} holds an unfinished run with other inputs or settings; --fresh discards "
                "it, the former options resume it"
            )
    shutil.rmtree(folder, ignore_errors=True)
    with writing(folder):
        folder.mkdir(parents=True)
    with atomic_path(folder / MARKER) as temporary:
        temporary.write_text(canonical_json({"identity": identity}), encoding="utf-8")
    return False


def _holds_work(folder: Path) -> bool:
    """Whether anything was saved: a run that was refused before its first step left nothing."""
    return any(path.is_file() and path.name != MARKER for path in folder.rglob("*"))


def owner(folder: Path) -> str | None:
    """The identity of the run that a state folder belongs to, where it says so."""
    try:
        return json.loads((folder / MARKER).read_text(encoding="utf-8"))["identity"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def trained_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Trained parameters and all buffers: frozen parents are not part of a run's state."""
    parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
    return {**parameters, **dict(module.named_buffers())}


def save_state(
    folder: Path,
    module: nn.Module,
    optimisers: dict[str, torch.optim.Optimizer],
    position: dict[str, Any],
    best: dict[str, Tensor],
) -> None:
    """Replace the saved state. `position` is JSON-able: step, epoch, batch, history length, …"""
    import torch
    from safetensors.torch import save_file

    tensors = {f"model/{name}": tensor for name, tensor in trained_tensors(module).items()}
    tensors |= {f"best/{name}": tensor for name, tensor in best.items()}
    for phase, optimiser in optimisers.items():
        for index, entries in optimiser.state_dict()["state"].items():
            for key, value in entries.items():
                tensors[f"optimiser/{phase}/{index}/{key}"] = torch.as_tensor(value)
    # Copies: safetensors refuses tensors that share memory.
    whole = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
    with atomic_path(folder / STATE_FILE) as temporary:
        save_file(whole, temporary, metadata={"position": canonical_json(position)})


def load_state(
    folder: Path, module: nn.Module, optimisers: dict[str, torch.optim.Optimizer]
) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """Restore module and optimisers; returns (position, best weights), None without a state."""
    import torch
    from safetensors import SafetensorError, safe_open

    path = folder / STATE_FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            position = json.loads(file.metadata()["position"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}); --fresh starts again") from error
    own = trained_tensors(module)
    with torch.no_grad():
        for name, tensor in own.items():
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
    best = {n.removeprefix("best/"): t for n, t in tensors.items() if n.startswith("best/")}
    return position, best
