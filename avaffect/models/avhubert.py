"""AV-HuBERT (Shi et al. 2022) under its published parameter names.

The head of the pre-training (`final_proj`, `label_embs_concat`) belongs to the objective.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.core.streams import FACE, WAVEFORM
from avaffect.models.context import ContextEncoder
from avaffect.models.encoder import Corruption, Frames
from avaffect.models.gradient_reversal import scale_gradient
from avaffect.models.resnet import VideoResNet18, clip_windows
from avaffect.models.transformer import TransformerConfiguration
from avaffect.models.waveform import valid_steps
from avaffect.signal import ranks
from avaffect.signal.features import HOP, WINDOW, log_filterbank, normalise_frames, stack_frames
from avaffect.signal.images import centre_crop, random_crop_and_flip, resize, to_channels

_BANDS = 26
_STACKED = 4
AUDIO_DIM = _BANDS * _STACKED


@dataclass(frozen=True)
class AVHubertConfiguration:
    """Configuration of the model.

    channels        1: grey pictures; 3: RGB
    face_size       stored faces are resized to it, unless they have crop_size pixels already
    crop_size       input size of the model: the centre, or a random crop in training
    face_mean, face_std  of pixel / 255, for each channel
    width, activation    of the ResNet-18, see VideoResNet18
    masking         "feature": mask_emb replaces fused frames, before the Transformer; "input": it
                    replaces frames of audio, before the encoder
    feature_grad_mult    factor on the gradient that reaches both front-ends
    final_dim       size of the space in which pre-training compares frames with units
    """

    transformer: TransformerConfiguration = field(
        default_factory=lambda: TransformerConfiguration(pre_norm=True)
    )
    channels: int = 1
    face_size: int = 96
    crop_size: int = 88
    face_mean: tuple[float, ...] = (0.421,)
    face_std: tuple[float, ...] = (0.165,)
    width: int = 64
    activation: str = "prelu"
    masking: str = "input"
    input_dropout: float = 0.1
    feature_grad_mult: float = 0.1
    final_dim: int = 256


_BASE = AVHubertConfiguration()
PRESETS: dict[str, AVHubertConfiguration] = {
    "nano": AVHubertConfiguration(
        TransformerConfiguration(
            4, 128, 384, 4, pre_norm=True, position_kernel=16, attention_dropout=0.0, layerdrop=0.0
        ),
        face_size=48,
        crop_size=44,
        width=8,
        activation="relu",
        feature_grad_mult=1.0,
        final_dim=64,
    ),
    "tiny": replace(
        _BASE, transformer=TransformerConfiguration(2, 64, 128, 4, pre_norm=True), final_dim=32
    ),
    "base": _BASE,
    "large": replace(
        _BASE, transformer=TransformerConfiguration(24, 1024, 4096, 16, pre_norm=True)
    ),
}


class _AudioBranch(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Linear(AUDIO_DIM, dim)


class _VideoBranch(nn.Module):
    def __init__(self, dim: int, resnet: VideoResNet18) -> None:
        super().__init__()
        self.resnet = resnet
        self.proj = nn.Linear(resnet.dim, dim)


def audio_frames(samples: Tensor) -> Tensor:
    """(B,) samples -> (B,) frames of four windows; at least one for any audio."""
    windows = torch.div(samples - WINDOW + HOP - 1, HOP, rounding_mode="floor").clamp(min=0) + 1
    stacked = torch.div(windows + _STACKED - 1, _STACKED, rounding_mode="floor")
    return stacked * (samples > 0)


class AVHubert(ContextEncoder):
    """Frames at 25 Hz from 16 kHz waveforms, faces at 25 frames a second, or both.

    An utterance with faces has as many frames as faces; its audio is cut or padded with zeros. An
    utterance without faces has a frame for every 40 ms of audio, rounded up.
    """

    streams = (WAVEFORM, FACE)
    rate_hz = 25.0
    face_mean: Tensor
    face_std: Tensor

    def __init__(self, configuration: AVHubertConfiguration) -> None:
        c = configuration
        dim = c.transformer.dim
        if c.masking not in ("feature", "input"):
            raise ValueError(f"masking {c.masking!r}: expected 'feature' or 'input'")
        if not c.channels == len(c.face_mean) == len(c.face_std):
            raise ValueError(f"face_mean and face_std must have {c.channels} numbers each")
        super().__init__(
            2 * dim,
            c.transformer,
            c.input_dropout,
            mask_dim=dim if c.masking == "feature" else AUDIO_DIM,
        )
        self.configuration = c
        self.feature_extractor_audio = _AudioBranch(dim)
        self.feature_extractor_video = _VideoBranch(
            dim, VideoResNet18(c.width, c.channels, c.activation)
        )
        self.register_buffer("face_mean", torch.tensor(c.face_mean), persistent=False)
        self.register_buffer("face_std", torch.tensor(c.face_std), persistent=False)

    def parts(self) -> dict[str, nn.Module]:
        """The parts of its ResNet-18, the visual front-end: stem and trunk."""
        return self.feature_extractor_video.resnet.parts()

    def frame_count(self, lengths: dict[str, Tensor]) -> Tensor:
        """(B,) frames for "face" (B,) pictures and "waveform" (B,) samples; one may be missing."""
        nobody = torch.zeros_like(next(iter(lengths.values())))
        faces = lengths.get(FACE, nobody)
        return torch.where(faces > 0, faces, audio_frames(lengths.get(WAVEFORM, nobody)))

    def view(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Faces with a random crop and flip, the same for all pictures of an utterance."""
        faces = batch.face
        if faces is None or faces.shape[1] == 0:
            return batch
        c = self.configuration
        if faces.shape[2] != c.crop_size:
            faces = resize(faces, c.face_size)
        faces = random_crop_and_flip(faces, c.crop_size, generator)
        return replace(batch, streams={**batch.streams, FACE: faces})

    def features(self, batch: Batch, corruption: Corruption | None = None) -> Frames:
        """(B, T, 2 dim): projected audio and faces side by side, not normalised; zeros for a
        modality that an utterance lacks.

        From batch.streams["waveform"] (B, S) int16, or float with full scale at 1.0, and "face"
        (B, T, H, H, C) uint8, or float on the same scale, C 1 or 3. Raises UsageError for faces at
        another rate than 25 a second.
        """
        self.check_face_rate(batch)
        nobody = torch.zeros(len(batch), dtype=torch.long, device=self.mask_emb.device)
        lengths = {
            name: batch.lengths[name] if name in batch.streams else nobody for name in self.streams
        }
        frames = self.frame_count(lengths)
        steps = max(1, ranks.longest(frames))
        audio_valid = valid_steps(frames * (lengths[WAVEFORM] > 0), steps)
        seen = valid_steps(lengths[FACE], steps)
        corruption = corruption or Corruption()
        branches = [
            self.embed_audio(self._audio(batch, lengths[WAVEFORM], frames, steps), audio_valid,
                             corruption.audio),
            self.embed_pictures(self._pictures(batch, lengths[FACE]), seen,
                                corruption.video_source),
        ]  # fmt: skip
        return Frames(torch.cat(branches, dim=2), frames)

    def embed_audio(self, audio: Tensor, valid: Tensor, hidden: Tensor | None = None) -> Tensor:
        """audio (B, T, 104), valid (B, T) bool -> (B, T, dim), zero where not valid.

        hidden (B, at most T) bool: frames that the mask embedding replaces.
        """
        if hidden is not None:
            hidden = F.pad(hidden, (0, audio.shape[1] - hidden.shape[1]))
            audio = torch.where(hidden[..., None], self.mask_emb.to(audio.dtype), audio)
        embedded = self.feature_extractor_audio.proj(audio)
        embedded = scale_gradient(embedded, self.configuration.feature_grad_mult)
        return embedded * valid[..., None].to(embedded.dtype)

    def embed_pictures(
        self, pictures: Tensor, seen: Tensor, source: Tensor | None = None
    ) -> Tensor:
        """pictures (N, C, H, W) of the N frames seen (B, T) bool -> (B, T, dim), zero elsewhere.

        source (B, at most T) int64: the frame of the same clip whose picture is used, -1: none.
        """
        branch = self.feature_extractor_video
        everywhere = seen.sum()
        if self.training:
            everywhere = ranks.total(everywhere)
        if int(everywhere) == 0:
            return torch.zeros(*seen.shape, self.dim, device=seen.device)
        if source is not None:
            rest = torch.arange(source.shape[1], seen.shape[1], device=source.device)
            source = torch.cat([source, rest.expand(len(source), -1)], dim=1)
        embedded = branch.proj(branch.resnet(pictures, clip_windows(seen, source)))
        embedded = scale_gradient(embedded, self.configuration.feature_grad_mult)
        placed = embedded.new_zeros(*seen.shape, self.dim)
        placed[seen] = embedded
        return placed

    def _audio(self, batch: Batch, lengths: Tensor, frames: Tensor, steps: int) -> Tensor:
        """(B, steps, 104) stacked filterbanks, normalised; zeros past the end of the audio."""
        audio = torch.zeros(len(batch), steps, AUDIO_DIM, device=frames.device)
        device = frames.device.type
        with torch.no_grad(), torch.autocast(device, enabled=False):
            # One by one: the last window of each utterance is padded with zeros in its own place.
            rows = zip(lengths.tolist(), frames.tolist())
            for row, (samples, count) in enumerate(rows):
                if samples > 0:
                    bands = log_filterbank(batch.streams[WAVEFORM][row, :samples], _BANDS)
                    stacked = stack_frames(bands, _STACKED)[:count]
                    audio[row, : len(stacked)] = stacked
            return normalise_frames(audio)

    def _pictures(self, batch: Batch, lengths: Tensor) -> Tensor:
        """(N, C, H, H) standardised pictures of all utterances, one after the other."""
        c = self.configuration
        faces = batch.face
        if faces is None or not lengths.any():
            return torch.zeros(0, c.channels, c.crop_size, c.crop_size, device=lengths.device)
        pictures = to_channels(faces[valid_steps(lengths, faces.shape[1])], c.channels)
        if pictures.shape[1] != c.crop_size:
            pictures = centre_crop(resize(pictures, c.face_size), c.crop_size)
        pictures = (pictures.float() / 255.0 - self.face_mean) / self.face_std
        return pictures.permute(0, 3, 1, 2)
