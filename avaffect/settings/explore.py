"""Settings of `explore`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import argument, option
from avaffect.settings.printed import Printed


@dataclass(frozen=True, kw_only=True)
class ExploreSettings(Printed):
    """Looks at a corpus before a training: balance of the labels by split, speaker and sex;
    durations; level, pauses and noise of every utterance, and clipped samples; utterances that
    sound the same, above all in two splits; and those that are unlike the others, to be listened
    to.

    On a terminal the output is tables; in a pipe one table with a row for each utterance,
    tab-separated; with --json or -o the summary as JSON."""

    examples: ClassVar[str] = """
    avaffect explore emodb-split.jsonl
    # Of a store, as JSON: are there duplicates across splits?
    avaffect explore media.h5 --json | jq .duplicates
    # Level and noise of each utterance
    avaffect explore corpus.jsonl --format csv > utterances.csv
    """

    source: Path = argument("Manifest of a corpus, or store.", default=Path("-"), metavar="SOURCE")
    label: tuple[str, ...] = option(
        (), "Label to look at. Default: all. Repeatable.", "--label",
        metavar="NAME",
    )  # fmt: skip
    by: tuple[str, ...] = option(
        (), "Field to look at beside split, speaker and sex, such as session, language or corpus. "
        "Repeatable.", "--by", metavar="FIELD",
    )  # fmt: skip
    without_sound: bool = option(
        False, "Leave out what needs the sound: levels, noise, duplicates, outliers. Of a large "
        "corpus, seconds instead of hours.", "--without-sound",
    )  # fmt: skip
    listed: int = option(
        10, "Outliers, and groups of duplicates, that are listed at most.", "--listed",
        metavar="N", at_least=0, at_most=10_000,
    )  # fmt: skip
    jobs: int | None = option(
        None, "Number of processes that listen. Default: one per core, one alone for few "
        "utterances.", "-j", "--jobs", role="runtime", at_least=1,
    )  # fmt: skip
    json: bool = option(False, "Print the summary as one JSON object.", "--json", role="runtime")
