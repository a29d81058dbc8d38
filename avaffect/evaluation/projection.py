"""Vectors in two dimensions."""

from __future__ import annotations

import numpy as np


def tsne(vectors: np.ndarray, perplexity: float, seed: int) -> np.ndarray:
    """vectors (N, D), N >= 4 -> (N, 2) by t-SNE (van der Maaten and Hinton, JMLR 9, 2008), begun at
    the first two principal components. The perplexity is lowered to a third of the other vectors.
    """
    from sklearn.manifold import TSNE

    most = (len(vectors) - 1) / 3
    made = TSNE(perplexity=min(perplexity, most), init="pca", random_state=seed)
    return np.asarray(made.fit_transform(np.asarray(vectors, dtype=np.float64)))
