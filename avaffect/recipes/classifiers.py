"""Classifiers applied: shared by finetune and predict."""

from __future__ import annotations

import numpy as np
import torch

from avaffect.core.progress import SILENT, Progress
from avaffect.data.dataset import Dataset
from avaffect.evaluation import classification
from avaffect.models.encoder import Encoder
from avaffect.models.heads import Head
from avaffect.recipes import extraction


def encoder_logits(
    encoder: Encoder,
    head: Head,
    dataset: Dataset,
    device: torch.device,
    batch_seconds: float,
    progress: Progress = SILENT,
) -> np.ndarray:
    """(N, classes) scores before the softmax of whole, uncropped utterances."""
    extractor = extraction.wrap_encoder(encoder, None, {}, tuple(dataset.columns))
    pooled = extraction.pooled_means(extractor, dataset, device, progress, batch_seconds)
    with torch.inference_mode():
        return head(torch.from_numpy(pooled).to(device)).cpu().numpy()


def scores(targets: np.ndarray, logits: np.ndarray, classes: tuple[str, ...]) -> dict[str, float]:
    """accuracy and ua of the highest logit, (N,) targets and (N, classes) logits."""
    matrix = classification.confusion_matrix(
        [classes[index] for index in targets],
        [classes[index] for index in logits.argmax(axis=1)],
        classes,
    )
    return {
        "accuracy": classification.accuracy(matrix),
        "ua": classification.unweighted_accuracy(matrix),
    }
