"""Losses of traces and their weights, as `finetune --loss` spells them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from avaffect.core.errors import UsageError

# Of a value that is predicted, and of scores of its bins.
OF_VALUES = ("ccc", "mse")
OF_BINS = ("ce", "ncce")
LOSSES = (*OF_VALUES, *OF_BINS)
# SS-VAERR: bins of the labels, and clusters of them.
BINS = 20

Weights = dict[str, float]


def parse_losses(texts: Sequence[str], labels: Sequence[str]) -> dict[str, Weights]:
    """Label -> {loss: weight} of every label, in their order; ccc alone where nothing is said.

    `ccc=0.5,ce=0.25,mse=0.25` is meant for all labels, `arousal:ccc=0.66,ce=0.34` for one, which
    goes before. Raises UsageError for another spelling, an unknown loss or label, a weight that is
    not above 0, one that is said twice, and ce beside ncce.
    """
    said: dict[str, Weights] = {}
    for text in texts:
        label, colon, weights = text.rpartition(":")
        if colon and label not in labels:
            raise UsageError(f"--loss {text}: {label!r} is no --label ({', '.join(labels)})")
        if label in said:
            who = f"of {label} " if label else ""
            raise UsageError(f"--loss {text}: the loss {who}is given twice")
        said[label] = _weights(text, weights)
    others = said.get("", {"ccc": 1.0})
    return {label: dict(said.get(label, others)) for label in labels}


def _weights(text: str, pairs: str) -> Weights:
    found: Weights = {}
    for pair in pairs.split(","):
        name, _, number = (part.strip() for part in pair.partition("="))
        if name not in LOSSES or name in found:
            raise UsageError(
                f"--loss {text}: expected one or more of {', '.join(LOSSES)} with a weight, such "
                "as ccc=0.5,mse=0.5, each once"
            )
        try:
            found[name] = float(number)
        except ValueError:
            raise UsageError(f"--loss {text}: {name} needs a weight, {name}=0.5") from None
        if not (math.isfinite(found[name]) and found[name] > 0):
            raise UsageError(f"--loss {text}: the weight {number} is not above 0")
    if set(OF_BINS) <= found.keys():
        raise UsageError(f"--loss {text}: ce and ncce are two ways to the same end; choose one")
    return found
