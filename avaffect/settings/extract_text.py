"""Settings of `extract-text`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import Computing, Resumable, ShardedLater, argument, option
from avaffect.settings.text_files import TextFiles
from avaffect.settings.training import PRECISIONS

WITHOUT_TRANSFORMERS = (
    "text encoders need transformers: in the checkout of avaffect, python -m pip install -c "
    "constraints.txt -e '.[huggingface]'"
)


@dataclass(frozen=True, kw_only=True)
class ExtractTextSettings(TextFiles, Resumable, ShardedLater, Computing):
    """A frozen text encoder of transformers, such as RoBERTa, computes one vector an utterance of
    the words spoken in it, by a transcript with times: the mean over their tokens. Of frames
    (`extract --frames-of`) the words around each are encoded, and equal words once. Labels and
    metadata are copied. `finetune --features text=TEXT.h5` fuses the vectors with others."""

    examples: ClassVar[str] = """
    # RoBERTa, downloaded once
    hf download FacebookAI/roberta-base --local-dir roberta-base
    avaffect extract-text media.h5 --transcripts vtt/ --model roberta-base \\
      -o text.h5
    # Late fusion with an encoder
    avaffect finetune media.h5 --encoder adapted.safetensors --mode frozen \\
      --features text=text.h5 -o fused.safetensors
    # Expression in the wild: frames with the words of two seconds on either side
    avaffect extract-text frames.h5 --transcripts words.csv \\
      --model roberta-base -o text.h5
    avaffect finetune frames.h5 --features av=frames.h5 \\
      --features text=text.h5 --label expression --sampler balanced \\
      -o fused.safetensors
    """

    store: Path = argument(
        "A media store, a store of frames, or any with the fields source, start_s, duration_s.",
        metavar="STORE.h5",
    )
    output: Path = option(MISSING, "Store to write.", "-o", "--output", role="output")
    transcripts: Path = option(
        MISSING, "Transcripts: a folder with a file a recording (.csv, .tsv, .vtt, .srt, "
        ".TextGrid), whose name is the recording's or the utterance's, a file of one recording, or "
        "a table with a column of recordings.", "--transcripts", role="input",
        metavar="DIR|FILE",
    )  # fmt: skip
    model: Path = option(
        MISSING, "Text encoder: a folder of transformers with weights (.safetensors) and "
        "tokenizer.", "--model", role="input", metavar="FOLDER",
    )  # fmt: skip
    around: float | None = option(
        None, "Seconds on either side of an utterance, or of the middle of a frame, whose words "
        "count. Default: 0; of frames 2.", "--around", metavar="SECONDS", at_least=0, at_most=60,
    )  # fmt: skip
    tier: str | None = option(
        None, "Tier of TextGrids with the words. Default: those called words or word, or the only "
        "one.", "--tier", metavar="NAME",
    )  # fmt: skip
    batch_texts: int = option(64, "Texts per batch at most.", "--batch-texts", at_least=1)
    precision: str = option(
        "32", "Precision: 32 bits, or mixed with bf16 or 16.", "--precision", choices=PRECISIONS
    )
