"""How tables of scores are printed."""

from __future__ import annotations

from dataclasses import dataclass

from avaffect.core.errors import UsageError
from avaffect.settings.base import Common, option

FORMATS = ("table", "csv", "latex")


@dataclass(frozen=True, kw_only=True)
class Printed(Common):
    """Commands that print tables, or JSON. Raises UsageError where both are asked for."""

    format: str | None = option(
        None, "Form of printed tables: table, csv (exact numbers) or latex (for papers; needs "
        "booktabs). Default: table, tab-separated in a pipe.", "--format", role="runtime",
        choices=FORMATS, added=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.format is not None and getattr(self, "json", False):
            raise UsageError("--format and --json exclude each other")
