"""What a section of the page may hold: data, which the templates write as HTML.

Each part has a kind, the name of the macro in templates/parts.html that writes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from markupsafe import Markup

from avaffect.core.table import Table


@dataclass(frozen=True)
class TablePart:
    """A table with a caption, the heading of each row in its first column."""

    table: Table
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Note:
    """A sentence. is_warning: of something that is missing or doubtful."""

    text: str
    is_warning: bool = False
    kind: ClassVar[str] = "note"


@dataclass(frozen=True)
class Chart:
    """A drawing of numbers. legend: names of its series, in the order of their colours, empty for
    one; table: the numbers in short, for who does not see the drawing."""

    title: str
    drawing: Markup
    legend: tuple[str, ...] = ()
    table: Table | None = None
    kind: ClassVar[str] = "chart"


@dataclass(frozen=True)
class Charts:
    """Small charts side by side, with one legend."""

    title: str
    charts: tuple[Chart, ...]
    legend: tuple[str, ...] = ()
    kind: ClassVar[str] = "charts"


@dataclass(frozen=True)
class Cell:
    """count, and its share of the row, from 0 to 1."""

    count: int
    share: float


@dataclass(frozen=True)
class Confusion:
    """Counts of true (rows) and predicted classes (columns)."""

    title: str
    corner: str
    classes: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    kind: ClassVar[str] = "confusion"


@dataclass(frozen=True)
class Tile:
    """An utterance: pictures and sound are data URIs, None where there is none.

    title: its label; details: lines below; agrees: with its query, None where that is not known;
    shows: what the picture is of.
    """

    identifier: str
    title: str = ""
    details: tuple[str, ...] = ()
    picture: str | None = None
    sound: str | None = None
    agrees: bool | None = None
    shows: str = "Face"

    @property
    def alt(self) -> str:
        """What the picture shows, in words."""
        return f"{self.shows} of {self.identifier}" + (f", {self.title}" if self.title else "")


@dataclass(frozen=True)
class Sheet:
    """Utterances side by side: small faces, or, with sound, tiles as in a gallery."""

    title: str
    tiles: tuple[Tile, ...]
    with_sound: bool = False
    kind: ClassVar[str] = "sheet"


@dataclass(frozen=True)
class GalleryRow:
    query: Tile
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class Gallery:
    """Queries, each with what was retrieved for it. compared: whether any tile agrees or not."""

    title: str
    rows: tuple[GalleryRow, ...]
    compared: bool
    kind: ClassVar[str] = "gallery"


@dataclass(frozen=True)
class Traces:
    """A recording over time: drawings of its labels, one below the other, above its faces, with
    its sound. words: its scores in short."""

    title: str
    words: str
    drawing: Markup
    sound: str | None
    table: Table
    legend: tuple[str, ...]
    kind: ClassVar[str] = "traces"


@dataclass(frozen=True)
class Code:
    """A text of lines as they are, folded."""

    title: str
    text: str
    kind: ClassVar[str] = "code"


@dataclass(frozen=True)
class Folded:
    """Parts that are shown on demand. anchor: a place that links lead to, "" for none."""

    title: str
    parts: tuple[Part, ...]
    anchor: str = ""
    kind: ClassVar[str] = "folded"


@dataclass(frozen=True)
class SideBySide:
    """Parts beside each other as far as the page is wide."""

    parts: tuple[Part, ...]
    kind: ClassVar[str] = "side"


@dataclass(frozen=True)
class Group:
    """Parts under a heading."""

    title: str
    parts: tuple[Part, ...]
    kind: ClassVar[str] = "group"


Part = (
    TablePart
    | Note
    | Chart
    | Charts
    | Confusion
    | Sheet
    | Gallery
    | Traces
    | Code
    | Folded
    | SideBySide
    | Group
)


@dataclass(frozen=True)
class Section:
    """anchor: its id in the page; lead: a sentence below its heading."""

    anchor: str
    title: str
    parts: tuple[Part, ...]
    lead: str = ""
