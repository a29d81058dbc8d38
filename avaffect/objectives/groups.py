"""Parameter groups by the part of the model they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from avaffect.objectives.base import ParameterGroup


def module_groups(
    parts: Mapping[str, Sequence[nn.Module | None]], learning_rates: Mapping[str, float]
) -> list[ParameterGroup]:
    """A group for each name with the trainable parameters of its modules; no empty groups.

    learning_rates: group name -> learning rate; by default that of the run.
    """
    groups = []
    for name, modules in parts.items():
        parameters = [
            p for module in modules if module is not None
            for p in module.parameters() if p.requires_grad
        ]  # fmt: skip
        if parameters:
            options = {"lr": learning_rates[name]} if name in learning_rates else {}
            groups.append(ParameterGroup(name, parameters, options))
    return groups


def decayed_groups(module: nn.Module) -> list[ParameterGroup]:
    """Two groups: weights, and biases and parameters of norms, which are not decayed."""
    trained = [p for p in module.parameters() if p.requires_grad]
    return [
        ParameterGroup("weights", [p for p in trained if p.ndim > 1]),
        ParameterGroup("biases", [p for p in trained if p.ndim <= 1], {"weight_decay": 0.0}),
    ]
