"""Losses of labels and their weights, as `finetune --loss` spells them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from avaffect.core.errors import UsageError

# Of a value that is predicted, and of scores of its bins.
OF_VALUES = ("ccc", "mse", "mae")
OF_BINS = ("ce", "ncce")
# Kind of label -> its losses, the default first.
OF_KIND = {
    "class": ("ce",),
    "distribution": ("kl", "ce"),
    "scalar": OF_VALUES,
    "trace": (*OF_VALUES, *OF_BINS),
}
LOSSES = (*OF_VALUES, *OF_BINS, "kl")
# SS-VAERR: bins of the labels, and clusters of them.
BINS = 20
# Of scalars these compare the utterances of a batch with each other.
COUPLED = ("ccc",)

Weights = dict[str, float]


def parse_losses(texts: Sequence[str], kinds: Mapping[str, str]) -> dict[str, Weights]:
    """Label -> {loss: weight} of every label, in their order; the default of its kind where nothing
    is said.

    kinds: label -> class, distribution, scalar or trace. `ccc=0.5,mse=0.5` is meant for all labels
    whose kind has these losses, `arousal:ccc=0.66,ce=0.34` for one, which goes before. Raises
    UsageError as `spelled_losses` does, and for losses that the label, or all labels, do not have.
    """
    said = spelled_losses(texts, tuple(kinds))
    others = said.pop("", None)
    found: dict[str, Weights] = {}
    for label, kind in kinds.items():
        weights = said.get(label)
        if weights is None and others is not None and others.keys() <= set(OF_KIND[kind]):
            weights = others
        found[label] = dict(weights or {OF_KIND[kind][0]: 1.0})
        unknown = [name for name in found[label] if name not in OF_KIND[kind]]
        if unknown:
            raise _no_loss(unknown[0], label, kind)
    if others is not None and not any(others.keys() <= set(OF_KIND[k]) for k in kinds.values()):
        label, kind = next(iter(kinds.items()))
        raise _no_loss(next(n for n in others if n not in OF_KIND[kind]), label, kind)
    return found


def spelled_losses(texts: Sequence[str], labels: Sequence[str]) -> dict[str, Weights]:
    """Label -> {loss: weight} as given; "" stands for all labels.

    Raises UsageError for another spelling, an unknown loss or label, a weight that is not above 0,
    one that is said twice, and ce beside ncce.
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
    return said


def _no_loss(loss: str, label: str, kind: str) -> UsageError:
    return UsageError(
        f"--loss {loss}: {label} is a {kind}; its losses are {', '.join(OF_KIND[kind])}"
    )


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
