"""The devices of training: one process, torchrun or srun, through lightning-fabric."""

from __future__ import annotations

import atexit
import logging
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
import torch

from avaffect.core.allocation import keep_freed_memory
from avaffect.core.batch import Batch
from avaffect.core.errors import AvaffectError, UsageError
from avaffect.core.launch import Launch, launch

if TYPE_CHECKING:
    from lightning_fabric import Fabric

T = TypeVar("T")
PRECISION: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "32": "32-true",
    "bf16": "bf16-mixed",
    "16": "16-mixed",
}


def resolve_device(name: str) -> torch.device:
    """`auto` is the first CUDA device where there is one, otherwise the CPU.

    On the CPU the process keeps freed memory from now on (core.allocation).
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"--device {name}: expected auto, cpu, cuda or cuda:N") from error
    if device.type == "cpu":
        keep_freed_memory()
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"--device {name}: no CUDA device is available here")
    return device


def mixed_precision(device: torch.device, precision: str) -> torch.autocast:
    """The context in which a model is applied with precision 32, bf16 or 16.

    Raises UsageError for 16 on a CPU.
    """
    _check_precision(device, precision)
    dtype = {"bf16": torch.bfloat16, "16": torch.float16}.get(precision)
    return torch.autocast(device.type, dtype, enabled=dtype is not None)


def _check_precision(device: torch.device, precision: str) -> None:
    if precision == "16" and device.type == "cpu":
        raise UsageError("--precision 16 is for GPUs; on a CPU use --precision bf16")


def make_fabric(device_name: str, precision: str) -> Fabric:
    """A launched Fabric for the processes that torchrun or srun started, or for this one alone."""
    device = resolve_device(device_name)
    _check_precision(device, precision)
    # As slow to import as torch itself: commands that only apply a model do not import it.
    from lightning_fabric import Fabric
    from lightning_fabric.strategies import DDPStrategy

    from avaffect.training.cluster import Started

    started = launch()
    # Hints on how to start jobs, once per process, only clutter a pipe.
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    many = started.processes > 1
    fabric = Fabric(
        accelerator=device.type,
        devices=[_own_device(device, started)] if device.type == "cuda" else 1,
        num_nodes=started.nodes,
        # Terms left out of a loss, or dropped layers, leave parameters without a gradient.
        strategy=DDPStrategy(find_unused_parameters=True) if many else "auto",
        precision=PRECISION[precision],
        plugins=[Started(started)],
    )
    fabric.launch()
    if many:
        # Of how DDP copies the gradients of convolutions, of which nobody can change anything.
        warnings.filterwarnings("ignore", message="Grad strides do not match")
        # Left to the interpreter's end, the group's threads may outlive their resources (SIGABRT).
        atexit.register(_leave_group)
    return fabric


def _own_device(device: torch.device, started: Launch) -> int:
    """The index of the CUDA device of this process: one process a device.

    Raises UsageError where a node has fewer devices than processes.
    """
    if started.processes == 1:
        return device.index or 0
    there = torch.cuda.device_count()
    if there == 1 and started.task:
        # srun --gpus-per-task=1: the only one that this task sees.
        return 0
    if started.local >= there:
        raise UsageError(
            f"process {started.local + 1} of this node has no GPU of its own, as there are "
            f"{there}; start one process a GPU"
        )
    return started.local


def on_first_rank(fabric: Fabric | None, work: Callable[[], T]) -> T:
    """The result of `work()` on rank 0, on all ranks; an AvaffectError there is raised on all."""
    if fabric is None or fabric.world_size == 1:
        return work()
    found: tuple[T | None, AvaffectError | None] = None, None
    if fabric.global_rank == 0:
        try:
            found = work(), None
        except AvaffectError as error:
            found = None, error
    result, failure = fabric.broadcast(found)
    if failure is not None:
        raise failure
    return result  # type: ignore[return-value]


def _leave_group() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch's arrays as tensors on `device`."""

    def move(array: np.ndarray | torch.Tensor) -> torch.Tensor:
        tensor = torch.from_numpy(array) if isinstance(array, np.ndarray) else array
        return tensor.to(device, non_blocking=True)

    return batch.map(move)
