"""Settings of `train`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.core.errors import UsageError
from avaffect.settings.base import Computing, argument, option
from avaffect.settings.split import UNITS

STANDARD_INPUT = Path("-")


@dataclass(frozen=True, kw_only=True)
class TrainSettings(Computing):
    """From a labelled corpus to a model, its scores and a report: divides the speakers into train,
    development and test, where the corpus is not divided yet, decodes the recordings and looks at
    them, trains a classifier (or a regressor, of a numeric label) on an encoder or on the features
    of a front-end, predicts the test part, scores it, and writes a page of all.

    Each step is a command; it is printed before it runs, and all of them are kept in
    DIR/commands.sh, a shell script: edit it for options that `train` does not have. The folder
    holds corpus.jsonl, recordings.h5, faces (contact sheets, where an encoder reads faces),
    explored.json, features.h5 (of a front-end), model.safetensors, which needs no other file,
    predictions.jsonl, scores.json and report.html. Run again, finished steps are up to date."""

    examples: ClassVar[str] = """
    # Of recordings such as clips/anger/anna_01.wav
    avaffect manifest folder clips/ --layout '{emotion}/{speaker}_*' |
      avaffect train -o mine
    avaffect predict new/*.wav --model mine/model.safetensors
    # An encoder of published weights, with low-rank adapters; what would be run
    avaffect import openai/whisper-tiny.en/ -o whisper.safetensors
    avaffect train corpus.jsonl --encoder whisper.safetensors --mode lora \\
      -o adapters --dry-run
    """

    source: Path = argument(
        "Manifest of a labelled corpus; - (the default): standard input.", default=STANDARD_INPUT,
        metavar="M.jsonl",
    )  # fmt: skip
    output: Path = option(
        Path("trained"), "Folder for all that is made.", "-o", "--output", role="output",
        metavar="DIR",
    )  # fmt: skip
    label: tuple[str, ...] = option(
        (), "Label to learn. Several of a kind are learned together. Default: emotion, or the only "
        "label of the corpus. Repeatable.", "--label", metavar="NAME",
    )  # fmt: skip
    classes: str | None = option(
        None, "Classes to keep, as of finetune.", "--classes", metavar="LIST"
    )
    encoder: Path | None = option(
        None, "Encoder under the classifier. Default: none, the features of --front-end.",
        "--encoder", role="input", metavar="X.safetensors",
    )  # fmt: skip
    front_end: str | None = option(
        None, "Front-end whose features are read where there is no encoder, as of extract. "
        "Default: mfcc.", "--front-end", metavar="NAME",
    )  # fmt: skip
    mode: str | None = option(
        None,
        "Training of the encoder, as of finetune.",
        "--mode",
        choices=("fine-tuned", "frozen", "lora"),
    )
    head: str | None = option(None, "Head, as of finetune.", "--head", metavar="NAME")
    epochs: int | None = option(
        None, "Passes over the data, as of finetune.", "--epochs", metavar="N", at_least=1
    )
    runs: int = option(1, "Number of runs, with other seeds.", "--runs", metavar="N", at_least=1)
    by: str | None = option(
        None, "Unit that is never divided, as of split. Default: speaker, or recording where no "
        "speaker is known.", "--by", choices=UNITS,
    )  # fmt: skip
    faces: str = option(
        "haar", "Face detector, as of preprocess.", "--faces", choices=("haar", "yunet", "none")
    )
    face_model: Path | None = option(
        None, "Weights of YuNet (.onnx).", "--face-model", role="input", metavar="FILE"
    )
    jobs: int | None = option(
        None, "Number of processes that decode. Default: one per core.", "-j", "--jobs",
        role="runtime", at_least=1,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.encoder is not None and self.front_end is not None:
            raise UsageError(
                f"--encoder and --front-end exclude each other: {self.encoder} reads the "
                "recordings itself"
            )
        if self.mode is not None and self.encoder is None:
            raise UsageError(f"--mode {self.mode} goes with --encoder")
