"""The visual encoder of SS-VAERR (Jegorova et al. 2023, section III): a 3-D convolution and
ResNet-18 over grey pictures of whole faces."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.core.streams import FACE
from avaffect.models.encoder import FrameEncoder, Frames
from avaffect.models.resnet import STEM_FRAMES, VideoResNet18, clip_windows
from avaffect.models.waveform import valid_steps
from avaffect.signal import ranks
from avaffect.signal.images import resize, to_channels

# Frames that are computed at a time without gradient, for videos of any length.
_BLOCK = 1024


@dataclass(frozen=True)
class VisualConfiguration:
    """width, activation  of the ResNet-18, see VideoResNet18; a frame has size 8 * width
    face_size            side in pixels to which stored faces are resized
    face_mean, face_std  of pixel / 255 in the corpus of the pre-training
    """

    width: int = 64
    activation: str = "relu"
    face_size: int = 96
    face_mean: float = 0.421
    face_std: float = 0.165


PRESETS: dict[str, VisualConfiguration] = {
    "nano": VisualConfiguration(width=8, face_size=48),
    "base": VisualConfiguration(),
}


class VisualEncoder(FrameEncoder):
    """Frames at 25 Hz from faces at 25 a second, each from five pictures around it.

    Stored faces (uint8) are resized to `face_size`. Pictures in floating point are a view, such as
    a crop, and are used at their own size.
    """

    streams = (FACE,)
    rate_hz = 25.0
    reach = STEM_FRAMES // 2

    def __init__(self, configuration: VisualConfiguration) -> None:
        super().__init__()
        c = configuration
        if c.face_std <= 0:
            raise ValueError(f"face_std {c.face_std}: it must be above 0")
        self.configuration = c
        self.resnet = VideoResNet18(c.width, 1, c.activation)
        self.dim = self.resnet.dim

    def parts(self) -> dict[str, nn.Module]:
        """The parts of its ResNet-18: stem and trunk."""
        return self.resnet.parts()

    def frame_count(self, lengths: dict[str, Tensor]) -> Tensor:
        """(B,) frames for lengths["face"] (B,) pictures"""
        return lengths[FACE]

    def view(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Faces at the input size, without random changes, for augmentations."""
        if batch.face is None:
            return batch
        faces = resize(to_channels(batch.face, 1), self.configuration.face_size)
        return replace(batch, streams={**batch.streams, FACE: faces})

    def forward(self, batch: Batch, layer: int | None = None) -> Frames:
        """(B, T, dim) from batch.streams["face"] (B, T, H, W, C) uint8, or float on the same scale.

        Raises UsageError for a layer, of which there are none to choose from, and for faces at
        another rate.
        """
        self.check_face_rate(batch)
        lengths, faces = batch.lengths[FACE], batch.streams[FACE]
        valid = valid_steps(lengths, faces.shape[1])
        packed, windows = faces[valid], clip_windows(valid)
        if torch.is_grad_enabled():
            return self._placed(self._frames(packed, windows), valid, lengths)
        blocks = [
            self._frames(*_block(packed, windows[start : start + _BLOCK]))
            for start in range(0, len(windows), _BLOCK)
        ]
        found = torch.cat(blocks) if blocks else self._frames(packed, windows)
        return self._placed(found, valid, lengths)

    def clips(self, faces: Tensor) -> Tensor:
        """(..., H, W, C) uint8, or a float view on the same scale -> (..., h, w) grey, 0 to 1."""
        pictures = to_channels(faces, 1)
        if not pictures.is_floating_point():
            pictures = resize(pictures, self.configuration.face_size)
        return pictures[..., 0].float() / 255.0

    def embed(self, clips: Tensor, lengths: Tensor) -> Frames:
        """Views from `clips` (B, T, H, W), of any size, lengths (B,) -> (B, T, dim)."""
        valid = valid_steps(lengths, clips.shape[1])
        return self._placed(self._see(clips[valid], clip_windows(valid)), valid, lengths)

    def _frames(self, faces: Tensor, windows: Tensor) -> Tensor:
        """faces (P, H, W, C), windows (N, 5) as from clip_windows -> (N, dim)"""
        return self._see(self.clips(faces), windows)

    def _see(self, pictures: Tensor, windows: Tensor) -> Tensor:
        """pictures (P, H, W) of 0 to 1 -> (N, dim)"""
        everywhere = windows.new_tensor(len(windows))
        if self.training:
            everywhere = ranks.total(everywhere)
        if int(everywhere) == 0:
            return pictures.new_zeros(0, self.dim)
        c = self.configuration
        return self.resnet(((pictures - c.face_mean) / c.face_std)[:, None], windows)

    def _placed(self, frames: Tensor, valid: Tensor, lengths: Tensor) -> Frames:
        """frames (N, dim) where valid (B, T) has its N frames, zeros elsewhere"""
        # An autocast network gives half precision.
        frames = frames.to(torch.promote_types(frames.dtype, torch.float32))
        values = frames.new_zeros(*valid.shape, self.dim)
        values[valid] = frames
        return Frames(values, lengths)


def _block(packed: Tensor, windows: Tensor) -> tuple[Tensor, Tensor]:
    """The pictures of some windows, and the windows as indices from the first of them."""
    shown = windows >= 0
    first, last = int(windows[shown].min()), int(windows[shown].max())
    return packed[first : last + 1], torch.where(shown, windows - first, -1)
