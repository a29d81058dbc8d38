"""What every section of the page is made from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

from avaffect.core.errors import DataError, UsageError
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.streams import FACE, WAVEFORM
from avaffect.data.store.reader import Store
from avaffect.recipes.common.ancestry import Ancestor
from avaffect.recipes.common.descriptions import Description
from avaffect.recipes.exploring.utterances import Utterances
from avaffect.recipes.reporting.given import Given
from avaffect.recipes.reporting.media import Media
from avaffect.recipes.reporting.parts import Folded, Note, Part
from avaffect.recipes.scoring.reports.comparison import Comparison
from avaffect.recipes.scoring.reports.exploration import ExplorationReport
from avaffect.recipes.scoring.reports.traces import ConcordanceReport
from avaffect.settings.compare import CompareSettings
from avaffect.settings.eval_ccc import EvalCccSettings
from avaffect.settings.explore import ExploreSettings
from avaffect.settings.report import ReportSettings

# Warnings that are not folded.
MOST_NOTES = 3


class Quiet(Progress):
    """Of recipes whose words the page says itself; their warnings become notes of the page, each
    once."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self._said: set[str] = set()

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def notes(self) -> list[Part]:
        """The warnings since the last call; many are folded."""
        fresh = [text for text in dict.fromkeys(self.warnings) if text not in self._said]
        self._said |= {*fresh}
        self.warnings.clear()
        return few([Note(text, is_warning=True) for text in fresh])


def few(notes: Sequence[Part]) -> list[Part]:
    """Notes, folded where they are many."""
    return (
        [*notes]
        if len(notes) <= MOST_NOTES
        else [Folded(f"{count_of(len(notes), 'note')}", tuple(notes))]
    )


class Explored(Protocol):
    """What `explore` finds."""

    @property
    def report(self) -> ExplorationReport: ...
    @property
    def utterances(self) -> Utterances: ...


@dataclass(frozen=True)
class Commands:
    """The commands whose results the page shows."""

    explore: Callable[[ExploreSettings, Progress], Explored | None]
    info: Callable[[Path], Description]
    compare: Callable[[CompareSettings, Progress], Comparison]
    eval_ccc: Callable[[EvalCccSettings, Progress], Sequence[ConcordanceReport]]


@dataclass
class Context:
    """settings, what was given, what it was made from (parents first), the pictures and sound so
    far, and where messages go."""

    settings: ReportSettings
    given: Given
    lineage: list[Ancestor]
    media: Media
    progress: Progress
    commands: Commands
    quiet: Quiet = field(default_factory=Quiet)

    @cached_property
    def media_stores(self) -> list[Store]:
        """The stores of the lineage with faces or sound, in the order in which they were made."""
        stores = [Store(each.path) for each in self.lineage if each.kind == "store"]
        return [s for s in stores if FACE in s.streams or WAVEFORM in s.streams]

    def stores_of(self, identifier: str) -> list[Store]:
        """The media stores that hold an utterance."""
        return [store for store in self.media_stores if identifier in store.rows]

    def attempt(
        self, what: str, parts: Callable[..., Iterable[Part]], *arguments: object
    ) -> list[Part]:
        """What `parts` of the arguments gives, or a note of why it cannot be shown. what: it
        shows, in words."""
        try:
            found = [*parts(*arguments)]
            return [*self.quiet.notes(), *found]
        except (DataError, UsageError) as error:
            self.quiet.warnings.clear()
            self.progress.warn(f"{what}: {error}")
            return [Note(f"{what[:1].upper()}{what[1:]} cannot be shown: {error}", is_warning=True)]


def anchor_of(path: str | Path) -> str:
    """The place of an artifact in the page: letters, digits and hyphens alone."""
    text = "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in str(path))
    return f"artifact-{text.strip('-').lower()}"
