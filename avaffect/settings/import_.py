"""Settings of `import`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avaffect.settings.base import Seeded, argument, option

KINDS = ("avhubert", "hubert", "wav2vec2")


@dataclass(frozen=True, kw_only=True)
class ImportSettings(Seeded):
    """Published weights become an encoder that every other command reads: AV-HuBERT and HuBERT of
    fairseq, HuBERT and wav2vec 2.0 of transformers or torchaudio, pre-trained or fine-tuned.

    A file is read without running anything that is in it."""

    weights: Path = argument(
        "A .pt, .bin or .safetensors file, or a folder with config.json.", metavar="FILE"
    )
    output: Path = option(
        Path("imported.safetensors"), "The encoder.", "-o", "--output", role="output"
    )
    kind: str | None = option(
        None, "What the weights are, where their names do not say.", "--as", choices=KINDS
    )
    assignments: tuple[str, ...] = option(
        (),
        "A setting of the model that the file does not hold, or holds wrongly: "
        "transformer.heads=12, normalise=true.",
        "--set",
        metavar="NAME=VALUE",
    )
