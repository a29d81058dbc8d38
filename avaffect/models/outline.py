"""Models without their weights, where only shapes, streams and rates count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

EMPTY = (torch.randn, torch.rand)
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
