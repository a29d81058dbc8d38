"""Settings of `finetune`, a file for each of their concerns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.core.errors import UsageError
from avaffect.settings.augmentation import OF_SOUND_ALONE
from avaffect.settings.base import argument, option
from avaffect.settings.encoder_training import EncoderTraining
from avaffect.settings.feature_stores import parse_features
from avaffect.settings.head_options import WEIGHTED, HeadSettings
from avaffect.settings.learned_labels import LearnedLabels
from avaffect.settings.runs import NONE, Runs


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings(EncoderTraining, LearnedLabels, HeadSettings, Runs):
    """Trains a head and the encoder under it (--mode fine-tuned), the head alone (frozen), the head
    and low-rank adapters in the encoder (lora), or all from random weights (scratch); without
    --encoder, a head on the features in the stores. Trains on the split train, selects the epoch on
    the split development (--select) and does not read the split test; with folds, each fold in
    turn.

    Several runs differ in their seed. The checkpoint holds all of them, and `predict` writes the
    predictions of each."""

    examples: ClassVar[str] = """
    # A linear head on a frozen encoder, five seeds
    avaffect finetune media.h5 --encoder adapted.safetensors --mode frozen \\
      --runs 5 -o er.safetensors
    # Low-rank adapters in an encoder of published weights
    avaffect finetune media.h5 --encoder wavlm.safetensors --mode lora \\
      -o er.safetensors
    # Traces: GRU layers, windows of 20 s, an annotation delay of 2.4 s
    avaffect finetune sewa.h5 --encoder lira.safetensors --head bgru \\
      --label arousal --label valence --delay 2.4 --window 20 -o va.safetensors
    # A baseline on openSMILE's functionals, one vector an utterance
    avaffect extract media.h5 --model egemaps-functionals -o egemaps.h5
    avaffect finetune egemaps.h5 -o baseline.safetensors
    """

    media: tuple[Path, ...] = argument("Labelled stores.", metavar="MEDIA.h5")
    output: Path = option(
        Path("classifier.safetensors"), "Checkpoint to write.", "-o", "--output", role="output"
    )
    features: tuple[str, ...] = option(
        (), "Features in a store, as written by extract, under a name; joined with MEDIA by id. "
        "Several may differ in rate and dimension, and may be combined with --encoder. Repeatable.",
        "--features", role="input", metavar="NAME=STORE.h5",
    )  # fmt: skip
    vectors: str | None = option(
        None, "Vectors of utterances (mean, functionals, embedding) to read in place of frames, "
        "from stores that have them. Default: from stores without frames alone.", "--vectors",
        metavar="NAME", added=True,
    )  # fmt: skip

    bundle: bool = option(
        False, "Write a bundle, which needs no other file; see `bundle`.", "--bundle", added=True
    )

    last: Path | None = option(
        None, "Classifier of the last epoch to write besides that of the selected one, in the same "
        "folder: the two protocols of a table from one training.", "--last", role="runtime",
        metavar="LAST.safetensors", added=True,
    )  # fmt: skip

    allow_speaker_overlap: bool = option(
        False, "Allow test speakers that are in train or development too, as some published "
        "divisions have them.", "--allow-speaker-overlap", role="permission", added=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_features(self.features)
        self._check_last()
        if self.layers == WEIGHTED:
            self._check_weighted()
        alone = [name for name in self.of_sound if name in OF_SOUND_ALONE]
        if self.features and alone:
            raise UsageError(
                f"--augment {alone[0]} changes the sound alone, and --features stay as they are: "
                "they would no longer belong together"
            )

    def _check_last(self) -> None:
        """Raises UsageError where the last epoch is kept anyway, or has no place."""
        if self.last is None:
            return
        if self.select == NONE:
            raise UsageError(f"--last {self.last}: with --select none {self.output} is that of the "
                             "last epoch")  # fmt: skip
        if self.bundle:
            raise UsageError(f"--last {self.last}: leave --bundle out, and bundle both later")
        if self.last.resolve() == self.output.resolve():
            raise UsageError(f"--last {self.last} is the output itself: name another file")
        if self.last.resolve().parent != self.output.resolve().parent:
            raise UsageError(f"--last {self.last}: name a file in the folder of {self.output}")

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Of --features, in order."""
        return tuple(parse_features(self.features))

    def _check_weighted(self) -> None:
        """Raises UsageError where there is no encoder, or one layer is chosen."""
        if self.encoder is None:
            raise UsageError(
                f"--layers {WEIGHTED} needs an --encoder: features that are given have no layers"
            )
        if self.layer is not None:
            raise UsageError(f"--layer {self.layer} and --layers {WEIGHTED} exclude each other")
