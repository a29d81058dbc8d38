"""Words that have one spelling in every corpus adapter: emotions and splits."""

from __future__ import annotations

EMOTIONS = (
    "anger", "boredom", "calm", "contempt", "disgust", "excitement", "fear", "frustration",
    "happiness", "neutral", "sadness", "surprise", "other",
)  # fmt: skip
SPLITS = ("train", "development", "test")
