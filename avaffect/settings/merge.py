"""Settings of `merge`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path

from avaffect.settings.base import Common, argument, option


@dataclass(frozen=True, kw_only=True)
class MergeSettings(Common):
    """Utterances come in the order in which the stores are given; ids must differ."""

    stores: tuple[Path, ...] = argument("Stores to join.", metavar="STORE")
    output: Path = option(MISSING, "Store to write.", "-o", "--output", role="output")
