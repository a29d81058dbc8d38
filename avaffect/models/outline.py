"""Models without their weights, where only shapes, streams and rates count; and no larger than
their weights in a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from avaffect.core.errors import DataError

EMPTY = (torch.randn, torch.rand)
# Functions that make tensors of the size that they are given.
FACTORIES = (torch.empty, torch.zeros, torch.ones, torch.full, *EMPTY)
IN_PLACE = (Tensor.normal_, Tensor.uniform_)


class Outlines(TorchFunctionMode):
    """Within this context modules are made in no time: nothing is drawn, and their weights are
    whatever lies in memory, which is not touched.

    On the device "meta" torch would compute shapes in Python and import its compiler for that,
    which takes as long as the import of torch itself.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if function in IN_PLACE:
            return args[0]
        return (torch.empty if function in EMPTY else function)(*args, **kwargs or {})


class Bounded(TorchFunctionMode):
    """Within this context modules of at most so many numbers, in so many tensors, are made: the
    header of a file may describe a model of any size.

    Raises DataError before memory is taken for more.
    """

    def __init__(self, numbers: int, tensors: int) -> None:
        super().__init__()
        self.numbers, self.tensors = numbers, tensors

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if function in FACTORIES:
            self.numbers -= _size(args, kwargs or {})
            self.tensors -= 1
            if self.numbers < 0 or self.tensors < 0:
                raise DataError(
                    "the header describes a model that is larger than any weights in the file"
                )
        return function(*args, **kwargs or {})


def _size(args: Sequence[Any], kwargs: dict[str, Any]) -> int:
    """Numbers in the tensor that a factory makes."""
    first = kwargs.get("size", args[0] if args else ())
    sizes = first if isinstance(first, Sequence) else [n for n in args if isinstance(n, int)]
    return math.prod(sizes)
