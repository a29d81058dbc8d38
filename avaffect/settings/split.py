"""Settings of `split`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.core.errors import UsageError
from avaffect.settings.base import Seeded, argument, option
from avaffect.settings.text_files import TextFiles

SPLITS = ("train", "development", "test")
SPEAKER, SESSION, RECORDING = UNITS = ("speaker", "session", "recording")
DEFAULT_RATIOS = (70.0, 10.0, 20.0)


@dataclass(frozen=True, kw_only=True)
class SplitSettings(TextFiles, Seeded):
    """Assigns whole speakers (or sessions) to train, development and test, near the ratios; or to K
    folds, of which fold k is the test part and fold k+1 the development part of run k; or reads a
    published division (--list). Counts and class balance go to standard error. Leakage is
    refused. --by recording is for corpora whose speakers are unknown: scores are then too high
    where a person is in several parts."""

    examples: ClassVar[str] = """
    avaffect split emodb.jsonl --by speaker --ratios 70 10 20 -o emodb-split.jsonl
    # Cross-validation
    avaffect split iemocap.jsonl --by session --folds 5 -o iemocap-folds.jsonl
    # A published division
    avaffect split cremad.jsonl --list train=split01/train.csv \\
      --list test=split01/test.csv -o cremad-split01.jsonl
    """

    source: Path = argument(
        "Corpus manifest; - (the default): standard input.", default=Path("-"), metavar="M.jsonl"
    )
    by: str = option(SPEAKER, "Unit that is never divided.", "--by", choices=UNITS)
    ratios: tuple[float, float, float] | None = option(
        None,
        "Shares of train, development and test. Default: 70 10 20, without --folds.",
        "--ratios",
        metavar="TRAIN DEVELOPMENT TEST",
        at_least=0,
    )
    folds: int | None = option(None, "Number of folds.", "--folds", metavar="K", at_least=3)
    lists: tuple[str, ...] = option(
        (), "Published list of a part: train, development or test, or a fold from 0 on, which it "
        "tests; names, paths or JSON, as it comes. Instead of --ratios and --folds. Repeatable.",
        "--list", role="input", metavar="PART=FILE", added=True,
    )  # fmt: skip
    stratify: str | None = option(
        None, "Label whose classes are balanced over the parts too.", "--stratify", metavar="LABEL"
    )
    replace: bool = option(False, "Replace existing splits or folds.", "--replace", role="runtime")
    allow_speaker_overlap: bool = option(
        False,
        "Allow a speaker with several sessions or recordings, or of a --list, in several parts.",
        "--allow-speaker-overlap",
        role="permission",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.lists:
            if self.encoding is not None:
                raise UsageError("--encoding goes with --list")
            return
        for flag, value in (("--ratios", self.ratios), ("--folds", self.folds),
                            ("--stratify", self.stratify)):  # fmt: skip
            if value is not None:
                raise UsageError(f"{flag} and --list exclude each other: a list is a division")
        if self.by != SPEAKER:
            raise UsageError(f"--by {self.by} and --list exclude each other: a list is a division")
        names = list(self.parts)
        folds = [str(number) for number in range(len(names))]
        unnamed = any(path == Path() for path in self.parts.values())
        if (
            unnamed
            or len(names) < len(self.lists)
            or not (set(names) <= set(SPLITS) or (len(names) > 2 and sorted(names) == folds))
        ):
            raise UsageError(
                f"--list {' '.join(self.lists)}: expected PART=FILE, one for each part: train, "
                "development and test, or at least three folds 0, 1, 2 ..."
            )

    @property
    def parts(self) -> dict[str, Path]:
        """Part -> file, of --list."""
        return {text.partition("=")[0]: Path(text.partition("=")[2]) for text in self.lists}
