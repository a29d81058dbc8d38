"""A published classifier on features as a checkpoint of avaffect, for `import`."""

from __future__ import annotations

from pathlib import Path

from avaffect.core.headers import ClassifierHeader, Input, Run
from avaffect.core.nouns import count_of
from avaffect.core.provenance import Provenance
from avaffect.models import registry
from avaffect.models.given import GivenFeatures, GivenFeaturesConfiguration, stream_of
from avaffect.models.heads.labels import LabelHead
from avaffect.models.heads.two_streams import TwoStreamHead
from avaffect.models.published.source import ConvertedHead
from avaffect.recipes.encoding.given import UNRECORDED
from avaffect.training import checkpoint


def save(output: Path, read: ConvertedHead, made: Provenance) -> None:
    """Write a classifier of one run, whose training is unknown."""
    head = read.head
    models = {
        item.name: registry.describe(
            GivenFeatures(GivenFeaturesConfiguration(item.dim, item.rate_hz, stream_of(item.name)))
        )
        for item in head.inputs
    }
    scalars = tuple(label.name for label in head.labels if label.kind == "scalar")
    header = ClassifierHeader(
        model=registry.describe(head),
        encoder=next(iter(models.values())),
        inputs=models,
        features=dict.fromkeys(models, UNRECORDED),
        mode="frozen",
        preprocessing=Input(streams=(), rate_hz=max(item.rate_hz for item in head.inputs)),
        runs=(Run(run=0, metrics={}),),
        provenance=made,
        labels={name: tuple(classes) for name, classes in read.classes.items()} or None,
        scalars=scalars or None,
    )
    weights = {f"runs.0.head.{name}": tensor for name, tensor in head.state_dict().items()}
    checkpoint.write(output, header, weights)


def summary(read: ConvertedHead) -> str:
    """What it reads and predicts, in words."""
    head = read.head
    inputs = " and ".join(
        f"{item.name} ({count_of(item.dim, 'number')} a frame)" for item in head.inputs
    )
    labels = ", ".join(label.name for label in head.labels)
    parameters = sum(p.numel() for p in head.parameters()) / 1e6
    return f"a classifier of {labels} from {inputs}, {parameters:.1f} M parameters"


def random_twin(head: LabelHead) -> LabelHead:
    """The same classifier before any training; it predicts as if it were trained."""
    twin: LabelHead = registry.build(registry.describe(head))
    if isinstance(twin.head, TwoStreamHead) and isinstance(head.head, TwoStreamHead):
        twin.head.trained.copy_(head.head.trained)
    return twin.eval()
