"""Choice of modalities among those that an encoder reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np
import torch

from avaffect.core.errors import DataError, UsageError
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.streams import FACE, WAVEFORM
from avaffect.data.dataset import Dataset, dataset_of, held_streams
from avaffect.data.store.reader import Store
from avaffect.models.encoder import Encoder, FrameEncoder
from avaffect.recipes.common import work


class Listed(Protocol):
    """Utterances by their ids."""

    @property
    def ids(self) -> list[str]: ...

    def chosen(self: Some, mask: np.ndarray) -> Some: ...


Some = TypeVar("Some", bound=Listed)


class Reading(Protocol):
    """Whatever reads streams: an encoder, or the inputs of a head."""

    @property
    def streams(self) -> tuple[str, ...]: ...

    def usable(self, lengths: dict[str, torch.Tensor]) -> torch.Tensor: ...


class Framed(Reading, Protocol):
    """Whatever makes frames of streams."""

    def frame_count(self, lengths: dict[str, torch.Tensor]) -> torch.Tensor: ...


STREAMS = {"audio": (WAVEFORM,), "video": (FACE,), "av": (WAVEFORM, FACE)}


def chosen_streams(
    encoder: Encoder,
    modality: str | None,
    stores: Sequence[Store],
    progress: Progress,
    in_patches: bool = False,
) -> tuple[str, ...]:
    """The streams of `stores` that `encoder` is to read; all that it knows without a modality.

    Says which streams of the modality no store has, how many utterances are longer than what the
    encoder sees at once, and where faces are smaller or less colourful than those that it was made
    for, or no squares; in_patches: it sees squares that are cut from them. Raises UsageError for a
    modality that the encoder does not read, DataError where no store has any of them, or faces come
    at another rate than the encoder's frames or in several sizes.
    """
    wanted = encoder.streams
    if modality is not None:
        if not set(STREAMS[modality]) <= set(encoder.streams):
            raise UsageError(
                f"--modality {modality}: this encoder reads {' and '.join(encoder.streams)} alone"
            )
        wanted = STREAMS[modality]
    held = held_streams(stores, wanted)
    if modality is not None and len(held) < len(wanted):
        progress.warn(
            f"--modality {modality}: {' and '.join(str(store.path) for store in stores)} "
            f"{'has' if len(stores) == 1 else 'have'} no stream "
            f"{' or '.join(repr(name) for name in wanted if name not in held)}; "
            f"{' and '.join(repr(name) for name in held)} alone is read"
        )
    check_faces(encoder, stores, held)
    _warn_of_faces(encoder, stores, held, progress)
    if not in_patches:
        _warn_of_wide(stores, held, progress)
    _say_windows(encoder, stores, held, progress)
    return held


def _say_windows(
    encoder: Encoder, stores: Sequence[Store], streams: Sequence[str], progress: Progress
) -> None:
    if not isinstance(encoder, FrameEncoder) or encoder.window_s is None:
        return
    long = sum(
        int((store.lengths(name) > encoder.window_s * (store.streams[name].rate_hz or 0)).sum())
        for store in stores
        for name in streams
        if name in store.streams
    )
    if long:
        progress.say(
            f"{count_of(long, 'utterance is', 'utterances are')} longer than {encoder.window_s:g} "
            "s: this encoder sees them in windows, whose frames are joined"
        )


def _warn_of_faces(
    encoder: Encoder, stores: Sequence[Store], streams: Sequence[str], progress: Progress
) -> None:
    for store in stores if FACE in streams else ():
        if FACE not in store.streams:
            continue
        height, width, channels = store.streams[FACE].shape
        if min(height, width) < encoder.face_size or channels < encoder.face_channels:
            colour = {1: "grey", 3: "rgb"}
            side, wanted = encoder.face_size, colour[encoder.face_channels]
            progress.warn(
                f"{store.path} holds faces of {width} x {height} pixels, {colour[channels]}, which "
                f"are converted to {side} x {side}, {wanted}: more is seen after preprocess "
                f"--size {side} --color {wanted}"
            )


def _warn_of_wide(stores: Sequence[Store], streams: Sequence[str], progress: Progress) -> None:
    for store in stores if FACE in streams else ():
        if FACE not in store.streams:
            continue
        height, width, _ = store.streams[FACE].shape
        if height != width:
            progress.warn(
                f"{store.path} holds pictures of {width} x {height} pixels, which an encoder of "
                "faces squeezes to squares: extract --patch PIXELS reads squares of them"
            )


def check_faces(encoder: Encoder, stores: Sequence[Store], streams: Sequence[str]) -> None:
    """Raises DataError where faces come at another rate than the encoder's frames or in several
    sizes; an encoder of tokens reads any rate."""
    if FACE not in streams:
        return
    shown = [s for s in stores if FACE in s.streams and s.lengths(FACE).any()]
    for store in shown:
        spec, first = store.streams[FACE], shown[0].streams[FACE]
        if isinstance(encoder, FrameEncoder) and spec.rate_hz != encoder.rate_hz:
            raise DataError(
                f"{store.path} holds {spec.rate_hz:g} pictures a second, and this encoder sees "
                f"{encoder.rate_hz:g}: preprocess with --fps {encoder.rate_hz:g}"
            )
        if spec.shape != first.shape:
            sizes = " and ".join("x".join(map(str, s.shape)) for s in (first, spec))
            raise DataError(
                f"{shown[0].path} and {store.path} hold pictures of different sizes ({sizes}): "
                "preprocess both with one --size and --color"
            )


def stream_lengths(encoder: Reading, dataset: Dataset) -> dict[str, torch.Tensor]:
    """Stream -> (N,) steps of each utterance, uncropped, or of each of the sections of a dataset of
    sections, of those that the encoder reads."""
    return {
        name: torch.from_numpy(dataset.steps_in_sections(name))
        for name in encoder.streams
        if name in dataset.columns
    }


def usable_rows(encoder: Reading, dataset: Dataset) -> np.ndarray:
    """(N,) bool: utterances of which the encoder makes a frame or token."""
    return encoder.usable(stream_lengths(encoder, dataset)).numpy()


def frame_counts(encoder: Framed, dataset: Dataset) -> np.ndarray:
    """(N,) frames that the encoder makes of each utterance, uncropped."""
    return encoder.frame_count(stream_lengths(encoder, dataset)).numpy()


def leave_out_words(
    mask: np.ndarray, ids: Sequence[str], streams: Sequence[str], unit: str = "frame"
) -> str:
    """A sentence on the utterances that give nothing to read, naming some of them."""
    names = [ids[row] for row in np.flatnonzero(~mask).tolist()]
    return (
        f"{count_of(len(names), 'utterance has', 'utterances have')} no {unit} of "
        f"{' or '.join(streams)}, left out: {work.some_of(names)}"
    )


def usable_utterances(
    encoder: Encoder,
    stores: Sequence[Store],
    utterances: Some,
    streams: Sequence[str],
    progress: Progress,
) -> Some:
    """The utterances of which the encoder makes a frame or token; others are named in a warning."""
    shown = usable_rows(encoder, dataset_of(stores, utterances.ids, streams))
    if shown.all():
        return utterances
    progress.warn(leave_out_words(shown, utterances.ids, streams))
    return utterances.chosen(shown)
