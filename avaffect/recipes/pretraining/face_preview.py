"""Faces animated by audio, as videos for inspection."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avaffect.core.atomic import atomic_path
from avaffect.core.batch import Batch
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.streams import FACE, SAMPLE_RATE_HZ, WAVEFORM
from avaffect.data.dataset import Dataset
from avaffect.data.video_files import write_video
from avaffect.objectives.face_reconstruction import FaceReconstruction, shows_face
from avaffect.signal.features import unit_scale
from avaffect.training.device import to_device

CLIPS = 4
# Pictures decoded at a time.
BLOCK = 64
# Height of a video in pixels: small pictures are enlarged.
FILM_HEIGHT = 256


@torch.inference_mode()
def write_preview(
    folder: Path, trained: FaceReconstruction, dataset: Dataset, progress: Progress
) -> None:
    """Write into `folder`: ID.mp4, the real face beside the generated one, from its first picture
    with a face and its audio; still-ID.mp4, the first clip's still beside the same driven by the
    audio of clip ID (the paper's figure 3)."""
    folder.mkdir(parents=True, exist_ok=True)
    device = next(trained.parameters()).device
    rows = np.unique(np.linspace(0, len(dataset) - 1, CLIPS).astype(np.int64))
    batches = [to_device(dataset.batch(rows[n : n + 1]), device) for n in range(len(rows))]
    stills = [trained.prepare(_first_present(batch.streams[FACE])) for batch in batches]
    for batch, still in zip(batches, stills):
        real = trained.prepare(batch.streams[FACE][0])
        own = _drive(trained, batch, still)
        name = batch.ids[0].replace("/", "_")
        driven = _drive(trained, batch, stills[0])
        _write(folder / f"{name}.mp4", torch.cat([real[: len(own)], own], dim=3), batch)
        beside = torch.cat([stills[0].expand_as(driven), driven], dim=3)
        _write(folder / f"still-{name}.mp4", beside, batch)
    progress.say(f"{folder}: {count_of(2 * len(batches), 'video')}")


def _first_present(faces: Tensor) -> Tensor:
    """(1, T, H, W, C) -> (1, H, W, C): the first picture with a face"""
    return faces[:, int(shows_face(faces)[0].int().argmax())]


def _drive(trained: FaceReconstruction, batch: Batch, still: Tensor) -> Tensor:
    """(T, C, H, W): the still (1, C, H, W) animated by the audio of a batch of one clip."""
    speech = trained.speech(batch)
    count = min(int(speech.lengths[0]), int(batch.lengths[FACE][0]))
    places = torch.arange(count, device=still.device)[None]
    made = [
        trained.face(still, speech.values, places[:, start : start + BLOCK], torch.Generator())[0]
        for start in range(0, count, BLOCK)
    ]
    return torch.cat(made)


def _write(path: Path, pictures: Tensor, batch: Batch) -> None:
    """Write pictures (T, C, H, W) from -1 to 1, with the audio of a batch of one clip."""
    shown = ((pictures + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)
    shown = shown.expand(-1, 3, -1, -1).permute(0, 2, 3, 1)
    scale = max(1, FILM_HEIGHT // shown.shape[1])
    large = shown.repeat_interleave(scale, 1).repeat_interleave(scale, 2).cpu().numpy()
    samples = int(batch.lengths[WAVEFORM][0])
    audio = unit_scale(batch.streams[WAVEFORM][0, :samples]).cpu().numpy()
    rate = Fraction(batch.rates[FACE]).limit_denominator(1001)
    with atomic_path(path) as temporary:
        write_video(temporary, large, (large.shape[2], large.shape[1]), rate, audio, SAMPLE_RATE_HZ)
