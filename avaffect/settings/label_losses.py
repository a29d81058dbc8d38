"""Losses of labels and their weights, as `finetune --loss` spells them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from avaffect.core.errors import UsageError
from avaffect.core.near import meant
from avaffect.core.registry import Registry

FOCAL = "focal"
KL = "kl"
# SS-VAERR: bins of the labels, and clusters of them.
BINS = 20
WIDTH, CLUSTERS = "width", "clusters"

Weights = dict[str, float]


@dataclass(frozen=True)
class LabelLoss:
    """A loss of labels.

    functions  kind of label (class, distribution, scalar, trace) -> its function, or the place
               where it is defined, "module:attribute"; see `objectives.criteria`
    coupled    whether it compares the utterances of a batch with each other
    bins       of traces: how their values are cut into the 20 bins whose scores it takes, into
               equal "width" or "clusters"; None where it takes values
    weighted   of classes and distributions: whether it takes the weights of utterances (N,) as a
               third argument; without it --class-weights is refused
    options    names of fields of `objectives.emphasis.Emphasis` that it takes by name
    """

    functions: Mapping[str, Any]
    coupled: bool = False
    bins: str | None = None
    weighted: bool = False
    options: tuple[str, ...] = ()


LOSSES = Registry("loss", "avaffect.losses")
_ROOM = "avaffect.objectives.losses"
_CCC = f"{_ROOM}.concordance:concordance_loss"
_MSE = f"{_ROOM}.mean_squared_error:mean_squared_error"
_MAE = f"{_ROOM}.mean_absolute_error:mean_absolute_error"
_KL = f"{_ROOM}.kullback_leibler:kullback_leibler"
# The first of a kind is its default.
for _name, _loss in {
    "ccc": LabelLoss({"scalar": _CCC, "trace": _CCC}, coupled=True),
    "mse": LabelLoss({"scalar": _MSE, "trace": _MSE}),
    "mae": LabelLoss({"scalar": _MAE, "trace": _MAE}),
    KL: LabelLoss({"distribution": _KL, "trace": f"{_ROOM}.listwise:listwise"}, weighted=True),
    "ce": LabelLoss(
        {
            "class": f"{_ROOM}.cross_entropy:cross_entropy",
            "distribution": f"{_ROOM}.soft_cross_entropy:soft_cross_entropy",
            "trace": f"{_ROOM}.binned_cross_entropy:binned_cross_entropy",
        },
        bins=WIDTH,
        weighted=True,
    ),
    "ncce": LabelLoss(
        {"trace": f"{_ROOM}.cost_sensitive_cross_entropy:cost_sensitive_cross_entropy"},
        bins=CLUSTERS,
    ),
    FOCAL: LabelLoss(
        {"class": f"{_ROOM}.focal:focal", "distribution": f"{_ROOM}.focal:soft_focal"},
        weighted=True,
        options=("gamma",),
    ),
}.items():
    LOSSES.register(_name, None, _loss)


def loss_of(name: str) -> LabelLoss:
    """Raises UsageError, which lists the losses, where there is none of the name."""
    return LOSSES[name].load()


def takes_shares(loss: str) -> bool:
    """Whether a loss of classes also takes targets that are spread over several of them."""
    return "distribution" in loss_of(loss).functions


def is_coupled(losses: Iterable[str]) -> bool:
    """Whether any of these compares the utterances of a batch with each other."""
    return any(loss_of(name).coupled for name in losses)


def bins_of(losses: Iterable[str]) -> str | None:
    """How these losses of a trace cut its values into bins; None where none of them does."""
    return next((cut for name in losses if (cut := loss_of(name).bins) is not None), None)


def takes_values(losses: Iterable[str]) -> bool:
    """Whether any of these losses of a trace takes values, not bins."""
    return any(loss_of(name).bins is None for name in losses)


def only_ranks(losses: Iterable[str]) -> bool:
    """Whether these losses of a trace compare its values within a recording alone: their scale is
    not learned then."""
    return all(name == KL for name in losses)


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
        if weights is None and others is not None and not _unfit(others, kind):
            weights = others
        found[label] = dict(weights or {next(_of_kind(kind)): 1.0})
        if _unfit(found[label], kind):
            raise _no_loss(_unfit(found[label], kind)[0], label, kind)
    if others is not None and all(_unfit(others, kind) for kind in kinds.values()):
        label, kind = next(iter(kinds.items()))
        raise _no_loss(_unfit(others, kind)[0], label, kind)
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


def _of_kind(kind: str) -> Iterator[str]:
    """The losses of a kind of label, avaffect's own before those of other packages."""
    return (name for name in LOSSES if kind in loss_of(name).functions)


def _unfit(losses: Iterable[str], kind: str) -> list[str]:
    """Those that a kind of label does not have."""
    return [name for name in losses if kind not in loss_of(name).functions]


def _no_loss(loss: str, label: str, kind: str) -> UsageError:
    return UsageError(
        f"--loss {loss}: {label} is a {kind}; its losses are {', '.join(_of_kind(kind))}"
    )


def _weights(text: str, pairs: str) -> Weights:
    found: Weights = {}
    for pair in pairs.split(","):
        name, _, number = (part.strip() for part in pair.partition("="))
        if name not in LOSSES or name in found:
            raise UsageError(
                f"--loss {text}: expected one or more of {', '.join(LOSSES)} with a weight, such "
                "as ccc=0.5,mse=0.5, each once"
                f"{'' if name in LOSSES else meant(name, LOSSES)}"
            )
        try:
            found[name] = float(number)
        except ValueError:
            raise UsageError(f"--loss {text}: {name} needs a weight, {name}=0.5") from None
        if not (math.isfinite(found[name]) and found[name] > 0):
            raise UsageError(f"--loss {text}: the weight {number} is not above 0")
    cuts = {cut: name for name in found if (cut := loss_of(name).bins) is not None}
    if len(cuts) > 1:
        names = " and ".join(cuts.values())
        raise UsageError(f"--loss {text}: {names} need bins of two kinds; choose one")
    return found
