"""Utterances for pre-training, and the streams that they must have."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from avaffect.core.errors import DataError
from avaffect.core.nouns import count_of
from avaffect.core.progress import SILENT, Progress
from avaffect.data import manifest
from avaffect.data.dataset import Dataset, dataset_of, held_streams
from avaffect.data.store.reader import Store
from avaffect.models.encoder import Encoder, FrameEncoder
from avaffect.objectives.base import Needs, Pretraining
from avaffect.recipes.common import work
from avaffect.recipes.common.stores import chosen_ids, in_split
from avaffect.recipes.common.subset import chosen_share
from avaffect.recipes.encoding.input_streams import chosen_streams, stream_lengths
from avaffect.settings.pretraining import PretrainingSettings

# No utterance has more, in the search for the fewest that an encoder needs.
LONGEST_STEPS = 2**40


def training_ids(
    settings: PretrainingSettings, stores: Sequence[Store], progress: Progress
) -> list[str]:
    """The utterances to train on: of the split, of the manifest --only, and a share of these.

    The selection does not depend on the task: encoders of different tasks are trained on the same
    utterances. Raises DataError where --only names no utterance of the stores, or none of the
    split.
    """
    ids = chosen_ids(stores, in_split(stores, settings.split))
    if settings.only is not None:
        wanted = _listed(settings.only, stores, progress)
        inside = [identifier for identifier in ids if identifier in wanted]
        if not inside:
            raise DataError(
                f"{settings.only}: none of its utterances is in the split {settings.split!r}; use "
                "others, or --split all"
            )
        progress.say(
            f"{len(inside)} of {count_of(len(ids), 'utterance is', 'utterances are')} in "
            f"{settings.only}"
        )
        ids = inside
    chosen = chosen_share(ids, settings.fraction, settings.seed)
    if settings.fraction < 1:
        progress.say(
            f"--fraction {settings.fraction:g}: {chosen.sum()} of {count_of(len(ids), 'utterance')}"
        )
    return [ids[row] for row in np.flatnonzero(chosen)]


def _listed(path: Path, stores: Sequence[Store], progress: Progress) -> set[str]:
    """The ids of a manifest that are in the stores; others are counted in a warning."""
    wanted = [item["id"] for item in manifest.read(path, expect="corpus").items]
    absent = [i for i in wanted if not any(i in store.rows for store in stores)]
    if len(absent) == len(wanted):
        raise DataError(
            f"{path}: none of its {count_of(len(wanted), 'utterance')} is in "
            f"{', '.join(str(store.path) for store in stores)}"
        )
    if absent:
        progress.warn(
            f"{len(absent)} of the {count_of(len(wanted), 'utterance')} of {path} not in the "
            f"stores: {work.some_of(absent)}"
        )
    return set(wanted)


def _enough(encoder: Encoder, lengths: dict[str, torch.Tensor], frames: int) -> torch.Tensor:
    """(B,) bool: utterances that give the encoder so many frames; of tokens, any."""
    if isinstance(encoder, FrameEncoder):
        return encoder.frame_count(lengths) >= frames
    return encoder.usable(lengths)


def usable(encoder: Encoder, dataset: Dataset, needs: Needs) -> np.ndarray:
    """(N,) bool: utterances that have the frames and the streams that an objective needs."""
    found = _enough(encoder, stream_lengths(encoder, dataset), needs.frames).numpy()
    for stream, fewest in needs.streams.items():
        found &= dataset.steps(stream) >= fewest
    return found


def learnable(
    settings: PretrainingSettings,
    stores: Sequence[Store],
    others: Sequence[Store],
    ids: Sequence[str],
    objective: Pretraining,
    progress: Progress = SILENT,
) -> Dataset:
    """The utterances that an objective can be trained on: others are counted in a warning.

    others: stores of further streams (units) that the objective reads. Raises DataError where there
    is no such utterance.
    """
    encoder, needs = objective.encoder, objective.needs
    streams = chosen_streams(encoder, None, stores, progress)
    if needs.streams:
        streams += held_streams([*stores, *others], tuple(needs.streams))
    dataset = dataset_of(
        stores,
        ids,
        streams,
        others=others,
        crop_s=settings.crop_seconds,
        seed=settings.seed,
        sampling=encoder.sampling,
    )
    kept = usable(encoder, dataset, needs)
    needed = _in_words(encoder, dataset, needs)
    if not kept.any():
        raise DataError(f"{settings.media[0]}: no utterance has {needed}, which this task needs")
    if not kept.all():
        lost = [ids[row] for row in np.flatnonzero(~kept).tolist()]
        progress.warn(
            f"{len(lost)} of {count_of(len(ids), 'utterance is', 'utterances are')} left out, "
            f"without {needed}: {work.some_of(lost)}"
        )
    return dataset.subset(np.flatnonzero(kept))


def _in_words(encoder: Encoder, dataset: Dataset, needs: Needs) -> str:
    """Requirements of an utterance: seconds of the encoder's streams, steps of other streams."""
    read = " or ".join(
        f"{shortest_s(encoder, stream, needs.frames, column.rate_hz):g} s of {stream}"
        for stream, column in dataset.columns.items()
        if stream in encoder.streams
    )
    return read + "".join(
        f" and {count_of(fewest, 'step')} of {s}" for s, fewest in needs.streams.items()
    )


def shortest_s(encoder: Encoder, stream: str, frames: int, rate_hz: float) -> float:
    """Seconds of a stream of so many steps a second that give an encoder so many frames (of tokens,
    any), rounded up to milliseconds."""
    steps = bisect_left(
        range(LONGEST_STEPS),
        True,
        key=lambda count: bool(_enough(encoder, {stream: torch.tensor([count])}, frames)[0]),
    )
    return math.ceil(1000 * steps / rate_hz) / 1000


def check_together(batches: Sequence[np.ndarray], fewest: int, of_each: int = 1) -> None:
    """Raises DataError where every batch has fewer utterances than that; of_each: utterances of one
    index of a batch."""
    largest = of_each * max(len(indices) for indices in batches)
    if largest < fewest:
        raise DataError(
            f"the largest batch has {count_of(largest, 'utterance')}, and this task compares "
            f"{fewest}: use more utterances, or a larger --batch-seconds"
        )
