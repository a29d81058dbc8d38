"""Settings of `seal`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avaffect.settings.base import Common, argument, option


@dataclass(frozen=True, kw_only=True)
class SealSettings(Common):
    """Writes header, count and end anew behind a filter such as jq, and records that one stood
    there. A stream without its end record may have been cut: it is refused, unless --allow-cut.

    \b
    jq -c 'select(.kind != "item" or .labels.emotion == "anger")' M.jsonl | avaffect seal
    grep anger M.jsonl | avaffect seal --like M.jsonl --allow-cut
    """

    source: Path = argument(
        "What the filter left, - for standard input.", default=Path("-"), metavar="FILTERED"
    )
    like: Path | None = option(
        None, "Take this manifest's header where the filter dropped it.", "--like", role="input",
        metavar="ORIGINAL.jsonl",
    )  # fmt: skip
    allow_cut: bool = option(
        False, "The end record may be missing: the filter dropped it.", "--allow-cut"
    )
