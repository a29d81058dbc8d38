"""Settings of `import`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import Seeded, argument, option

# The families of avaffect itself, as `models.published` registers them.
KINDS = (
    "avhubert", "cavmae", "data2vec", "efficientnet", "hubert", "vavl",
    "wav2vec2", "wavlm", "whisper",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ImportSettings(Seeded):
    """Converts published weights to an encoder that all other commands read: AV-HuBERT and HuBERT
    of fairseq, HuBERT and wav2vec 2.0 of transformers or torchaudio, pre-trained or fine-tuned;
    WavLM, of transformers or Microsoft; data2vec-audio, of transformers; the encoder of Whisper, of
    transformers or OpenAI; CAV-MAE and Social-MAE; EfficientNet for faces, of transformers,
    torchvision or timm. VAVL becomes a classifier on features, for `predict`.

    The file is read without executing code in it."""

    examples: ClassVar[str] = """
    avaffect import base_vox_iter5.pt -o avhubert.safetensors
    avaffect import facebook/hubert-base-ls960/ -o hubert.safetensors
    # The same in the form of torchaudio
    avaffect import hubert_fairseq_base_ls960.pth --as hubert \\
      -o torchaudio.safetensors
    # Others
    avaffect import openai/whisper-tiny.en/ -o whisper.safetensors
    avaffect import google/efficientnet-b2/ -o faces.safetensors
    """

    weights: Path = argument(
        "Weights: a .pt, .bin or .safetensors file, a folder with config.json, or VAVL's folder.",
        metavar="FILE",
    )
    output: Path = option(
        Path("imported.safetensors"), "Checkpoint to write.", "-o", "--output", role="output"
    )
    kind: str | None = option(
        None,
        "Model family, one of another package included. Default: recognised by the names of the "
        "weights.",
        "--as",
        metavar="|".join((*KINDS, "NAME")),
    )
    random: bool = option(
        False,
        "Random weights in place of the published ones: the same model at random initialisation, "
        "the reference of a table.",
        "--random",
        added=True,
    )
    assignments: tuple[str, ...] = option(
        (),
        "Setting of the model that the file lacks or has wrong: transformer.heads=12, "
        "normalise=true. Repeatable.",
        "--set",
        metavar="NAME=VALUE",
    )
