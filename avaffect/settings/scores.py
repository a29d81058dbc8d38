"""Names of scores for people: in tables on a terminal and on axes of pictures."""

from __future__ import annotations

from collections.abc import Mapping

# What predictions say in `seen` of an utterance; None: the classifier has learned neither from it
# nor from its speaker.
TRAINING, DEVELOPMENT, UNKNOWN = "training", "development", "unknown"
STATUSES = (TRAINING, DEVELOPMENT, UNKNOWN)
STATUS_WORDS = {
    TRAINING: "training speakers",
    DEVELOPMENT: "development speakers",
    UNKNOWN: "perhaps training speakers",
}

# The cosine distance of the shared embeddings of an utterance's two streams, in predictions.
SHARED_DISTANCE = "shared_distance"

SCORE_WORDS = {
    "ua": "UA",
    "f1": "F1",
    "f1_micro": "F1 micro",
    "f1_macro": "F1 macro",
    "ccc": "CCC",
    "pearson": "Pearson",
    "rmse": "RMSE",
    "mae": "MAE",
    "kl": "KL",
    "ce": "CE",
    "davies_bouldin": "Davies-Bouldin",
    "nearest_neighbour": "nearest neighbour",
    "nearest_centroid": "nearest centroid",
    SHARED_DISTANCE: "distance of sound and faces",
    "map": "mAP",
}


def score_words(name: str) -> str:
    """`arousal.ccc_mean` -> `arousal CCC, mean`."""
    label, _, score = name.rpartition(".")
    single = score.removesuffix("_mean")
    words = SCORE_WORDS.get(single, single) + (", mean" if single != score else "")
    return f"{label} {words}".strip()


def training_words(seen: Mapping[str, int] | None, count: int) -> str:
    """What a score of `count` utterances is on, to be read before it; "" where none was seen, or
    the predictions never said (None). seen: how many are of each status."""
    parts = []
    for status, words in STATUS_WORDS.items():
        found = (seen or {}).get(status, 0)
        if found:
            parts.append(words if found >= count else f"{words} ({found} of {count})")
    return ", ".join(parts)
