"""Labels that a classifier predicts, from its header; also for files of version 0.1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from avaffect.core.errors import UsageError
from avaffect.core.headers import ClassifierHeader
from avaffect.core.registry import Description
from avaffect.core.streams import FACE, WAVEFORM
from avaffect.models.heads.registry import on_two_streams
from avaffect.settings.two_stream_options import modalities_of

LABEL_HEAD = "label_head"
# Inputs of one vector an utterance.
VECTORS = "vectors"
# Heads of version 0.1.
_LINEAR, _TRACES = "head", "trace_head"


@dataclass(frozen=True)
class PredictedLabel:
    """kind: class, distribution, scalar or trace; classes: in the order of the head's outputs;
    columns: its numbers among those of its kind, labels of utterances or traces."""

    name: str
    kind: str
    classes: tuple[str, ...]
    columns: slice

    @property
    def over_time(self) -> bool:
        return self.kind == "trace"


def predicted_labels(
    header: ClassifierHeader, chosen: Sequence[str] = ()
) -> tuple[PredictedLabel, ...]:
    """The labels of a classifier, or those of them that are named.

    Raises UsageError for a name that it does not predict.
    """
    traces = header.traces
    facts: dict[str, tuple[str, tuple[str, ...]]] = {
        **{name: ("class", tuple(c)) for name, c in (header.labels or {}).items()},
        **{name: ("distribution", tuple(c)) for name, c in (header.distributions or {}).items()},
        **{name: ("scalar", ()) for name in header.scalars or ()},
        **{name: ("trace", ()) for name in (() if traces is None else traces.names)},
    }
    names = list(facts)
    if header.model["name"] == LABEL_HEAD:
        names = [label["name"] for label in header.model["configuration"]["labels"]]
    found = []
    places = {True: 0, False: 0}
    for name in names:
        kind, classes = facts[name]
        first = places[kind == "trace"]
        places[kind == "trace"] = first + (len(classes) or 1)
        found.append(PredictedLabel(name, kind, classes, slice(first, places[kind == "trace"])))
    for name in chosen:
        if name not in names:
            raise UsageError(f"--label {name}: the classifier predicts {', '.join(names)}")
    return tuple(label for label in found if not chosen or label.name in chosen)


def modalities(header: ClassifierHeader) -> dict[str, str]:
    """Modality -> name of its input, of a head on two streams; empty of other heads."""
    if header.model["name"] != LABEL_HEAD:
        return {}
    name = header.model["configuration"]["head"]["name"]
    return modalities_of(list(input_models(header))) if on_two_streams(name) else {}


def reads_both(header: ClassifierHeader) -> bool:
    """Whether its encoder was trained on sound and faces: it makes something of either alone."""
    return {WAVEFORM, FACE} <= set(header.streams)


def input_models(header: ClassifierHeader) -> dict[str, Description]:
    """Name -> model of the head's inputs."""
    if header.inputs is not None:
        return header.inputs
    encoder = header.encoder
    return {"features" if encoder["name"] == "features" else "encoder": encoder}


def head_of(header: ClassifierHeader, run: int) -> tuple[Description, str]:
    """The model of the head of a run, and the prefix of its weights.

    A head of version 0.1 gets today's description: one of classes was saved by itself, one of
    traces as it is today or, without losses of bins, by itself.
    """
    model, prefix = header.model, f"runs.{run}."
    if model["name"] == LABEL_HEAD:
        return model, f"{prefix}head."
    names = () if header.traces is None else header.traces.names
    if model["name"] == _TRACES:
        given = model["configuration"]
        labels: list[dict[str, Any]] = [
            {"name": name, "kind": "trace", "value": value, "bins": bins}
            for name, value, bins in zip(names, given["values"], given["bins"])
        ]
        return _described(_beneath(header, given["head"]), labels), f"{prefix}head."
    labels = [{"name": n, "kind": "trace", "value": True} for n in names]
    if header.labels is not None:
        ((name, classes),) = header.labels.items()
        labels = [{"name": name, "kind": "class", "classes": len(classes)}]
    return _described(_beneath(header, model), labels), prefix


def _described(head: Description, labels: list[dict[str, Any]]) -> Description:
    return {"name": LABEL_HEAD, "configuration": {"head": head, "labels": labels}}


def _beneath(header: ClassifierHeader, model: Description) -> Description:
    given = dict(model["configuration"])
    (name,) = input_models(header)
    rate_hz = header.preprocessing.rate_hz
    given["inputs"] = [{"name": name, "dim": given.pop("dim"), "rate_hz": rate_hz}]
    kind = "linear" if model["name"] == _LINEAR else "bgru"
    return {"name": kind, "configuration": given}
