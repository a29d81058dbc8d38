"""Settings of `seal`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from avaffect.settings.base import Common, argument, option


@dataclass(frozen=True, kw_only=True)
class SealSettings(Common):
    """Writes header, count and end anew after a filter such as jq, and records the filter in the
    header. A stream without its end record may be truncated and is refused, except with
    --allow-cut."""

    examples: ClassVar[str] = """
    jq -c 'select(.kind != "item" or .labels.emotion == "anger")' M.jsonl |
      avaffect seal
    # A filter that drops header and end
    grep anger M.jsonl | avaffect seal --like M.jsonl --allow-cut -o anger.jsonl
    head -101 M.jsonl | avaffect seal --allow-cut -o hundred.jsonl
    """

    source: Path = argument(
        "Output of the filter; - (the default): standard input.",
        default=Path("-"),
        metavar="FILTERED",
    )
    like: Path | None = option(
        None, "Manifest whose header is used if the filter dropped it.", "--like", role="input",
        metavar="ORIGINAL.jsonl",
    )  # fmt: skip
    allow_cut: bool = option(False, "Accept a stream without its end record.", "--allow-cut")
