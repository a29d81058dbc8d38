"""The contracts of encoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.core.errors import DataError, UsageError
from avaffect.core.sampling import EVERYTHING, Sampling
from avaffect.core.streams import FACE
from avaffect.core.structure import Structure, check_layer


class Encoded(Protocol):
    """An encoder's output for a batch: `Frames` or `Tokens`.

    values (B, N, dim), zero in padding; valid (B, N) bool: False in padding; present (B,) bool:
    utterances that have any.
    """

    @property
    def values(self) -> Tensor: ...

    @property
    def valid(self) -> Tensor: ...

    @property
    def present(self) -> Tensor: ...

    def mean(self) -> Tensor:
        """(B, dim), padding excluded; zeros for an utterance that has none."""

    def with_values(self, values: Tensor) -> Encoded:
        """The same utterances with other vectors, (B, N, any size)."""


@dataclass
class Frames:
    """Vectors in time. values (B, T, dim), lengths (B,) valid frames; padded frames are zero."""

    values: Tensor
    lengths: Tensor

    @property
    def valid(self) -> Tensor:
        """(B, T) bool: True where a frame belongs to the utterance."""
        steps = torch.arange(self.values.shape[1], device=self.values.device)
        return steps[None, :] < self.lengths[:, None]

    @property
    def present(self) -> Tensor:
        return self.lengths > 0

    def mean(self) -> Tensor:
        """(B, dim) mean over valid frames, padding excluded; zeros for an empty utterance."""
        return _mean(self.values, self.valid, self.lengths)

    def with_values(self, values: Tensor) -> Frames:
        return Frames(values, self.lengths)


@dataclass
class Tokens:
    """Vectors of patches (of a spectrogram, of pictures), without an order in time: padding may be
    anywhere among them.

    values (B, N, dim), zero in padding; valid (B, N) bool.
    """

    values: Tensor
    valid: Tensor

    @property
    def present(self) -> Tensor:
        return self.valid.any(dim=1)

    def mean(self) -> Tensor:
        """(B, dim) mean over valid tokens; zeros for an utterance that has none."""
        return _mean(self.values, self.valid, self.valid.sum(dim=1))

    def with_values(self, values: Tensor) -> Tokens:
        return Tokens(values, self.valid)


def _mean(values: Tensor, valid: Tensor, count: Tensor) -> Tensor:
    total = (values * valid[..., None].to(values.dtype)).sum(dim=1)
    return total / count.clamp(min=1)[:, None].to(total.dtype)


@dataclass
class Corruption:
    """Corruption of an encoder's inputs by a pretext task, before any context (AV-HuBERT, input
    masking).

    audio         (B, T) bool: frames of audio that an embedding replaces
    video_source  (B, T) int64: the frame of the same clip that replaces each picture; -1 for a
                  blank picture (zero after normalisation)
    Time is that of the encoder's frames.
    """

    audio: Tensor | None = None
    video_source: Tensor | None = None


class Encoder(nn.Module):
    """Streams, vector size and layers of an encoder.

    `forward(batch, layer=None)` gives vectors of the last layer, or of `layer` (1 to `depth`,
    without the final normalisation). Padding and the rest of the batch never change an utterance's
    vectors; a missing modality is part of the contract. It is a `FrameEncoder` or a `TokenEncoder`.

    configuration: the dataclass that it is built from, as `registry` describes. depth: number of
    layers to choose from; 0 where it gives its output alone. first_layer: of those that
    `every_layer` gives; 0 where the input of the first layer has the size of all others. sampling:
    the part of an utterance that it reads. face_size, face_channels: side in pixels and channels of
    the faces that it was made for, where smaller or grey ones lose what it could see; 0: unknown.
    """

    streams: tuple[str, ...] = ()
    dim: int = 0
    depth: int = 0
    first_layer: int = 1
    sampling: Sampling = EVERYTHING
    face_size: int = 0
    face_channels: int = 0
    configuration: Any

    def __call__(self, batch: Batch, layer: int | None = None) -> Any:
        """`forward`. Raises UsageError for a layer that the encoder does not have."""
        self.check_layer(layer)
        return super().__call__(batch, layer=layer)

    def forward(self, batch: Batch, layer: int | None = None) -> Encoded:
        raise NotImplementedError

    @property
    def structure(self) -> Structure:
        """For the header of its checkpoint."""
        return Structure(depth=self.depth, first_layer=self.first_layer, parts=tuple(self.parts()))

    @property
    def layer_count(self) -> int:
        """Number of layers that `every_layer` gives; 0 without any."""
        return self.structure.layer_count

    def every_layer(self, batch: Batch) -> Encoded:
        """Layers `first_layer` to `depth` - 1 and the output, (B, N, layer_count * dim): a vector
        of one layer after that of another.

        Encoders that can compute them in one pass do; here each layer is a pass. Raises UsageError
        where layers differ in size.
        """
        chosen = [*range(self.first_layer, self.depth), None]
        # Layer 0, the input of the first, is given here alone.
        found: list[Encoded] = [super(Encoder, self).__call__(batch, layer=one) for one in chosen]
        for layer, encoded in zip(chosen, found):
            if encoded.values.shape[-1] != self.dim:
                raise layers_differ(layer, encoded.values.shape[-1], self.dim)
        return found[-1].with_values(torch.cat([one.values for one in found], dim=-1))

    def usable(self, lengths: dict[str, Tensor]) -> Tensor:
        """(B,) bool: utterances with these stream lengths that give any vector; a stream that is
        not in `lengths` is missing."""
        raise NotImplementedError

    def check_layer(self, layer: int | None) -> None:
        """Raises UsageError for a layer that it does not have."""
        check_layer(layer, self.depth)

    def parts(self) -> dict[str, nn.Module]:
        """Parts by name, from the input on, that can be frozen while the others are fine-tuned;
        none where the encoder has no parts."""
        return {}

    def view(self, batch: Batch, generator: torch.Generator) -> Batch:
        """A random view of a batch for training (crops and flips of faces), of the same lengths.

        Drawn on the CPU from `generator`; the batch itself where this encoder has no such views.
        """
        return batch


class FrameEncoder(Encoder):
    """An encoder of frames in time, `rate_hz` a second.

    reach: number of frames on either side that a frame depends on, where its streams have one step
    a frame: a recording may then be read in parts. None where a frame may depend on the whole
    utterance. window_s: seconds that it reads at once: of longer utterances it joins the frames of
    several such windows. None where it reads an utterance of any length at once.
    """

    rate_hz: float = 0.0
    reach: int | None = None
    window_s: float | None = None

    def forward(self, batch: Batch, layer: int | None = None) -> Frames:
        raise NotImplementedError

    def frame_count(self, lengths: dict[str, Tensor]) -> Tensor:
        """(B,) frames that utterances with these stream lengths give; a stream that is not in
        `lengths` is missing."""
        raise NotImplementedError

    def usable(self, lengths: dict[str, Tensor]) -> Tensor:
        return self.frame_count(lengths) > 0

    def check_face_rate(self, batch: Batch) -> None:
        """Raises UsageError for faces at another rate than one a frame."""
        found = batch.rates.get(FACE, self.rate_hz)
        if found != self.rate_hz:
            raise UsageError(
                f"this encoder reads {self.rate_hz:g} faces a second, and this store holds "
                f"{found:g}: preprocess it with --fps {self.rate_hz:g}"
            )


class TokenEncoder(Encoder):
    """An encoder of tokens, whose mean represents an utterance.

    Consumers of frames in time (traces, clusters, masked prediction, recurrent heads) refuse it:
    see `in_time`. gives: what it gives instead, for their message.
    """

    gives: str = (
        "gives tokens, which have no time of their own: only their mean over an utterance can be "
        "used"
    )

    def forward(self, batch: Batch, layer: int | None = None) -> Tokens:
        raise NotImplementedError

    def usable(self, lengths: dict[str, Tensor]) -> Tensor:
        """Utterances with any step of any of its streams, unless a subclass requires more."""
        held = [lengths[name] > 0 for name in self.streams if name in lengths]
        return torch.stack(held).any(dim=0)


def in_time(encoder: Encoder, reader: str) -> FrameEncoder:
    """The same encoder. Raises DataError where it gives tokens.

    reader: the consumer of frames, for the message.
    """
    if isinstance(encoder, FrameEncoder):
        return encoder
    gives = encoder.gives if isinstance(encoder, TokenEncoder) else TokenEncoder.gives
    raise DataError(
        f"{reader} needs frames in time, and this encoder ({type(encoder).__name__}) {gives}"
    )


def rate_of(encoder: Encoder) -> float:
    """Frames a second; 0 where it gives tokens."""
    return encoder.rate_hz if isinstance(encoder, FrameEncoder) else 0.0


def side_by_side(layers: Sequence[Tensor], frames: Frames) -> Tensor:
    """Layers (B, T, dim), of `frames`, as (B, T, layers * dim) float32, zero in padding."""
    return torch.cat([layer.float() for layer in layers], dim=2) * frames.valid[..., None]


def layers_differ(layer: int | None, size: int, dim: int) -> UsageError:
    """The mistake of reading all layers of an encoder at once where one has another size."""
    return UsageError(
        f"layer {layer} of this encoder is {size} wide and its output {dim}: layers of different "
        "size cannot be summed; choose one with --layer"
    )


@runtime_checkable
class Maskable(Protocol):
    """An encoder with local features before their context: pretext tasks mask or predict them in
    between.

    feature_dim: size of a local feature. An encoder without a mask embedding raises ValueError for
    a mask, one without input masking for a corruption.
    """

    feature_dim: int

    def features(self, batch: Batch, corruption: Corruption | None = None) -> Frames:
        """Local features before any context, (B, T, feature_dim), zero in padding."""

    def contextualise(
        self, features: Frames, mask: Tensor | None = None, layer: int | None = None
    ) -> Frames:
        """Frames in context from the output of `features`; where mask (B, T) is True the mask
        embedding replaces a frame. `layer` as in `Encoder.forward`."""


def maskable(encoder: Encoder) -> Maskable:
    """The same encoder. Raises ValueError where it has no local features before its context."""
    if not isinstance(encoder, Maskable):
        raise ValueError(f"a {type(encoder).__name__} has no local features before its context")
    return encoder
