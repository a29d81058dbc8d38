"""What utterances are predicted from, by heads on an acoustic and a visual stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from avaffect.core.errors import DataError, UsageError
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.data.dataset import Dataset
from avaffect.evaluation.statistics import mean_and_std
from avaffect.models.heads.base import FrameHead
from avaffect.models.heads.two_streams import MODALITIES, TwoStreamHead
from avaffect.models.inputs import ENCODER, Inputs
from avaffect.recipes.downstream import heads
from avaffect.recipes.downstream.head_group import HeadGroup
from avaffect.recipes.encoding.input_streams import STREAMS, usable_rows
from avaffect.settings.two_stream_options import AUDIO, AV, VIDEO

if TYPE_CHECKING:
    # For types alone: predict does without what training imports.
    from avaffect.recipes.downstream.material import Material
    from avaffect.recipes.downstream.partitions import Division

# In words, of a prediction.
PREDICTIONS = {AUDIO: "acoustic", VIDEO: "visual", AV: "audiovisual"}
BOTH = "both streams"


def made_from(head: FrameHead, inputs: Inputs, dataset: Dataset) -> list[str] | None:
    """audio, video or av of each utterance or section; None of other heads.

    Raises DataError where one has no frame of either: a section that is shorter than a frame.
    """
    if not isinstance(head, TwoStreamHead):
        return None
    there = []
    for modality in (AUDIO, VIDEO):
        encoder = inputs.encoders[head.named[modality]]
        read = any(name in dataset.columns for name in encoder.streams)
        found = usable_rows(encoder, dataset) if read else np.zeros(len(dataset), dtype=bool)
        there.append(torch.from_numpy(found))
    places = head.made_from(*there).tolist()
    if without := places.count(-1):
        raise DataError(
            f"{without} of {count_of(len(places), 'window holds', 'windows hold')} no frame: "
            "--window is too short"
        )
    return [MODALITIES[place] for place in places]


def check_places(form: FrameHead, streams: Sequence[str]) -> None:
    """Raises UsageError where an encoder reads sound alone in the place of the faces, or faces
    alone in the place of the sound; streams: those that it reads here."""
    if not isinstance(form, TwoStreamHead):
        return
    for modality, other in ((AUDIO, VIDEO), (VIDEO, AUDIO)):
        if form.named[modality] == ENCODER and tuple(streams) == STREAMS[other]:
            raise UsageError(
                f"the encoder reads {other}, and stands in the place of the {modality}, as "
                f"--features {other} is given: call these features {modality}, or "
                f"take an encoder of {modality}"
            )


def check_trained(group: HeadGroup, found: Sequence[str], model: Path) -> None:
    """Raises DataError where utterances would be predicted from what the head never learned
    from."""
    for head in group.heads:
        assert isinstance(head.head, TwoStreamHead)
        untrained, learns = head.head.untrained, head.head.learns
        for modality in untrained:
            count = list(found).count(modality)
            if not count:
                continue
            have = has_words(modality)
            # Without learning of its own the audiovisual one needs both others.
            own = modality != AV or AV in learns
            lacking = modality if own else " or ".join(m for m in (AUDIO, VIDEO) if m in untrained)
            others = [m for m in (AUDIO, VIDEO) if m not in untrained and modality == AV]
            raise DataError(
                f"{model} has no {PREDICTIONS[modality]} prediction, as no utterance that it was "
                f"trained on has {BOTH if lacking == AV else lacking}; "
                f"{count_of(count, 'utterance')} here have {have}"
                + "; predict with " * bool(others)
                + " or ".join(f"--modality {m}" for m in others)
            )


def has_words(modality: str) -> str:
    """What an utterance has that is predicted from a modality."""
    return BOTH if modality == AV else f"{modality} alone"


def report(material: Material, divisions: Sequence[Division]) -> None:
    """Say how many training utterances have which modality, and warn of predictions that are never
    trained, as there are none."""
    form = material.form
    found = made_from(form, material.opened.inputs, material.dataset)
    if found is None:
        return
    assert isinstance(form, TwoStreamHead)
    counts = [Counter(np.array(found)[division.train].tolist()) for division in divisions]
    first = "" if len(divisions) == 1 else " of the first run"
    words = ", ".join(f"{modality} {counts[0][modality]}" for modality in MODALITIES)
    material.progress.say(f"training utterances by modality{first}: {words}")
    for modality in form.learns:
        needed = (AV,) if modality == AV else (modality, AV)
        if any(sum(count[name] for name in needed) == 0 for count in counts):
            has = "both audio and video" if modality == AV else modality
            material.progress.warn(
                f"no training utterance has {has}: the {PREDICTIONS[modality]} prediction is "
                "never trained, and predict refuses it"
            )
    _report_labels(material, found, divisions)


def _report_labels(material: Material, found: Sequence[str], divisions: Sequence[Division]) -> None:
    """Warn of labels that no training utterance with a modality has, though there are some."""
    tasks, form = material.labels.tasks, material.form
    assert isinstance(form, TwoStreamHead)
    for modality in form.learns if len(tasks) > 1 else ():
        there = _teaching(found, modality)
        for task in tasks:
            parts = [there & division.train for division in divisions]
            if any(part.any() and not (part & task.known).any() for part in parts):
                has = BOTH if modality == AV else modality
                material.progress.warn(
                    f"no training utterance with {has} has {task.name}: its "
                    f"{PREDICTIONS[modality]} prediction is never trained, and predict leaves it "
                    "out"
                )


def _teaching(found: Sequence[str], modality: str) -> np.ndarray:
    """(N,) bool: the utterances that the prediction from a modality learns from."""
    return np.isin(found, (AV,) if modality == AV else (modality, AV))


def unlearned(
    material: Material, divisions: Sequence[Division]
) -> list[dict[str, tuple[str, ...]] | None]:
    """Of each run, label -> modalities that it would be predicted from without having been learned
    from; None where there are none, and of other heads."""
    form = material.form
    found = made_from(form, material.opened.inputs, material.dataset)
    if found is None:
        return [None] * len(divisions)
    assert isinstance(form, TwoStreamHead)
    parts = []
    for division in divisions:
        lacking = {}
        for task in material.labels.tasks:
            known = division.train & task.known
            taught = {m: bool((_teaching(found, m) & known).any()) for m in form.learns}
            # Without learning of its own the audiovisual one needs both others.
            taught.setdefault(AV, taught[AUDIO] and taught[VIDEO])
            lacking[task.name] = tuple(m for m in MODALITIES if not taught[m])
        parts.append({name: of for name, of in lacking.items() if of} or None)
    return parts


def distances(group: HeadGroup, dataset: Dataset, model: Path) -> np.ndarray:
    """(N, heads) cosine distances of the shared embeddings, NaN where an utterance lacks a stream.

    Raises DataError where the head has no shared layers.
    """
    form = group.form
    if not isinstance(form, TwoStreamHead) or not form.has_shared:
        raise DataError(f"--shared-distance: the head of {model} has no layers for both streams")
    return heads.distances(group, dataset)


def report_distances(found: Sequence[np.ndarray], progress: Progress) -> None:
    """Say their mean over the utterances that have both streams, and over runs."""
    known = [values[~np.isnan(values)] for values in found]
    count = len(known[0]) if known else 0
    if not count:
        progress.warn("no utterance has both streams: there is no distance of shared embeddings")
        return
    mean, std = mean_and_std([float(values.mean()) for values in known])
    spread = f" +- {std:.3f} over {count_of(len(known), 'run')}" if len(known) > 1 else ""
    progress.say(
        f"cosine distance of the shared embeddings: {mean:.3f}{spread}, of "
        f"{count_of(count, 'utterance')}"
    )
