"""An encoder as a folder that transformers loads, for `export --to transformers`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from avaffect.core import headers
from avaffect.core.batch import Batch
from avaffect.core.errors import DataError
from avaffect.core.headers import EncoderHeader
from avaffect.core.progress import Progress
from avaffect.core.streams import WAVEFORM
from avaffect.models.encoder import Encoder
from avaffect.models.published import exporting
from avaffect.recipes.common import work
from avaffect.recipes.encoding import checkpoints
from avaffect.recipes.exchange import outputs, speech
from avaffect.settings.export import ExportSettings
from avaffect.training import transformers_models

# Of the largest value, or of 1.
TOLERANCE = 1e-4


def run(settings: ExportSettings, progress: Progress) -> None:
    """Write the encoder of a checkpoint, compared with what transformers makes of it.

    Raises DataError for an encoder that transformers has no model for, or where their frames
    differ.
    """
    headers.read(settings.artifact, EncoderHeader)
    given = work.file_inputs("encoder", [settings.artifact], "encoder")
    made = work.record("export", settings, given, speech.inputs(settings.speech))

    def write(folder: Path) -> None:
        with progress.task("export", 3, "steps"):
            encoder, header = checkpoints.load_encoder(settings.artifact, torch.device("cpu"))
            family = header.published.kind if header.published is not None else None
            found = exporting.export(encoder, family)
            progress.advance(step="loaded")
            for words in found.differs:
                progress.warn(f"frames are not exactly the encoder's: {words}")
            transformers_models.save(folder, found.config, found.preprocessor, found.tensors)
            progress.advance(step="written")
            if not transformers_models.is_there():
                progress.warn("transformers is not installed: the folder was not loaded by it")
                return
            loaded = transformers_models.Loaded(folder)
            apart = 0.0
            for waveform in speech.waveforms(settings.speech, settings.seed, progress):
                own = frames_of(found.reference, waveform)
                theirs = loaded.frames(waveform)[: len(own)]
                apart = max(apart, difference(own, theirs))
        if not apart <= TOLERANCE:
            raise DataError(
                f"{settings.artifact}: transformers' frames differ from the encoder's by "
                f"{apart:.2g} of the largest value, and nothing is written"
            )
        model = found.config["architectures"][0]
        progress.say(f"{model}: frames differ by at most {apart:.2g} of the largest value")

    if outputs.write_folder(settings, made, progress, write, {"labels": {}, "fields": {}}):
        progress.say(f"{settings.output}: {settings.artifact} as transformers loads it")


@torch.no_grad()
def frames_of(encoder: Encoder, waveform: np.ndarray) -> np.ndarray:
    """(T, dim) of a waveform (S,)"""
    values = torch.from_numpy(waveform)[None]
    batch = Batch(["speech"], {WAVEFORM: values}, {WAVEFORM: torch.tensor([len(waveform)])})
    found: np.ndarray = encoder(batch).values[0].numpy()
    return found


def difference(own: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference as a share of the largest value, or of 1 where that is less; infinite
    where shapes differ."""
    if own.shape != theirs.shape:
        return float("inf")
    largest = float(np.abs(own).max(initial=1.0))
    return float(np.abs(own - theirs).max(initial=0.0)) / largest
