"""Common names of emotions and splits for all corpus adapters."""

from __future__ import annotations

EMOTIONS = (
    "anger", "boredom", "calm", "contempt", "disgust", "excitement", "fear", "frustration",
    "happiness", "neutral", "sadness", "surprise", "other",
)  # fmt: skip
SPLITS = ("train", "development", "test")
