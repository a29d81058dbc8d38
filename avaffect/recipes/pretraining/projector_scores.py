"""Scores of a projector's embeddings, in training and on held-out speakers (SAAML, Tables 8 and
9)."""

from __future__ import annotations

import numpy as np
import torch

from avaffect.evaluation.clustering import (
    davies_bouldin_index,
    nearest_centroid_accuracy,
    nearest_label_accuracy,
    nearest_neighbour_accuracy,
)
from avaffect.models.heads.projector import Projector


def of_training(projector: Projector, pooled: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Separation of the training embeddings: the paper's Davies-Bouldin index, 1-NN accuracy."""
    embeddings, _ = _embedded(projector, pooled)
    return {
        "davies_bouldin": davies_bouldin_index(embeddings, targets),
        "nearest_neighbour": nearest_neighbour_accuracy(embeddings, targets),
    }


def of_held_out(
    projector: Projector,
    pooled: np.ndarray,
    targets: np.ndarray,
    training: tuple[np.ndarray, np.ndarray] | None,
    classifies: bool,
) -> dict[str, float]:
    """Scores of held-out utterances: pooled (N, D) features, targets (N,).

    accuracy           of the projector's classifier, where it is trained (classifies)
    nearest_neighbour  of the label of the nearest training embedding; training: pooled features
                       and targets, None where they are not known
    nearest_centroid   of the label whose training embeddings have the nearest mean; known as that
    davies_bouldin     of their embeddings, where there are two classes of more than one utterance
    utterances         their number
    """
    embeddings, predicted = _embedded(projector, pooled)
    found = {}
    if classifies:
        found["accuracy"] = float((predicted == targets).mean())
    if training is not None:
        known, labels = _embedded(projector, training[0])[0], training[1]
        found["nearest_neighbour"] = nearest_label_accuracy(embeddings, targets, known, labels)
        found["nearest_centroid"] = nearest_centroid_accuracy(embeddings, targets, known, labels)
    classes = len(np.unique(targets))
    if 1 < classes < len(targets):
        found["davies_bouldin"] = davies_bouldin_index(embeddings, targets)
    return {**found, "utterances": float(len(targets))}


def _embedded(projector: Projector, pooled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings (N, 32) and predicted classes (N,) of pooled features (N, D)."""
    projector.eval()
    device = next(projector.parameters()).device
    with torch.inference_mode():
        embeddings = projector(torch.from_numpy(pooled).to(device))
        predicted = projector.classifier(embeddings).argmax(dim=1)
    return embeddings.cpu().numpy(), predicted.cpu().numpy()
