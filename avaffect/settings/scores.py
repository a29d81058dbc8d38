"""What scores are called where people read: tables on a terminal, axes of pictures."""

from __future__ import annotations

SCORE_WORDS = {
    "ua": "UA",
    "f1": "F1",
    "f1_micro": "F1 micro",
    "f1_macro": "F1 macro",
    "ccc": "CCC",
    "pearson": "Pearson",
    "rmse": "RMSE",
    "mae": "MAE",
}


def score_words(name: str) -> str:
    """`arousal.ccc_mean` -> `arousal CCC, mean`."""
    label, _, score = name.rpartition(".")
    single = score.removesuffix("_mean")
    words = SCORE_WORDS.get(single, single) + (", mean" if single != score else "")
    return f"{label} {words}".strip()
