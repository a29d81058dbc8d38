"""A tiny RoBERTa of random weights, made from a configuration and a few sentences."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from makefiles import ROOT

SENTENCES = (
    "i am so angry at you", "what a happy lovely day", "nothing happened at all today",
    "she said hello and went away", "this is terrible and you know it",
)  # fmt: skip
# Tokens of a text.
LONGEST = 30


def tiny_roberta(folder: Path, **sizes: Any) -> Path:
    """Write weights and tokenizer as transformers does, or skip the test without it."""
    pytest.importorskip("transformers", reason="transformers is not installed")
    example = runpy.run_path(str(ROOT / "examples" / "tiny_text_encoder.py"))
    small = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32,
             "max_position_embeddings": LONGEST + 2}  # fmt: skip
    example["write"](folder, SENTENCES, 300, **{**small, **sizes})
    return folder
