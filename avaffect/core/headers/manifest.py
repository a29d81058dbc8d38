"""Headers of manifests; see avaffect-manifest(5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from avaffect.core.provenance import Provenance
from avaffect.core.record import Record

FORMAT = "avaffect-manifest"
VERSION = "1.1"


@dataclass(frozen=True, kw_only=True)
class _Said(Record):
    keeps_nulls: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class DescribedLabel(_Said):
    """kind     class, scalar, distribution or trace
    classes  of a class or distribution, in order
    rate_hz  values a second of a trace
    raters   names of a trace's raters
    """

    kind: str | None = None
    classes: tuple[str, ...] | None = None
    rate_hz: float | None = None
    raters: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class NamedStore(Record):
    """A store by its path, relative to the manifest's base, and its content id."""

    path: str
    content_id: str


@dataclass(frozen=True, kw_only=True)
class RetrievalSettings(_Said):
    """How a retrieval was drawn: temperature, draws a query, seed, the queries' label and the
    sampler; of `auto`, what it chose by."""

    temperature: float | None = None
    draws: int | None = None
    seed: int | None = None
    label: str | None = None
    sampler: str | None = None
    pilot_trials: float | None = None
    pilot_limit: float | None = None


@dataclass(frozen=True, kw_only=True)
class ManifestHeader(_Said):
    """content     corpus, retrieval or predictions
    base        folder that paths start from, relative to the manifest's own
    filtered    whole or cut, for each filter behind which it was sealed

    corpus      name of the corpus; labels: of its items, by name (both of a corpus)
    stores      query and pool; settings: how they were drawn (both of a retrieval)
    target      first label; targets: all labels; classes: of the first; runs: their number; seen:
                whether items say what the classifier has learned from (all of predictions)
    """

    kind: str = "header"
    format: str = FORMAT
    version: str = VERSION
    content: str
    base: str | None = None
    corpus: str | None = None
    labels: dict[str, DescribedLabel] | None = None
    target: str | None = None
    targets: dict[str, DescribedLabel] | None = None
    classes: tuple[str, ...] | None = None
    runs: int | None = None
    seen: bool | None = None
    stores: dict[str, tuple[NamedStore, ...]] | None = None
    settings: RetrievalSettings | None = None
    provenance: Provenance = field(default_factory=dict)
    filtered: tuple[str, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """In the order of the fields, what a later version may have added at the end; without an
        empty provenance."""
        found = super().to_dict()
        first = {name: found.pop(name) for name in _ORDER if name in found}
        return {k: v for k, v in {**first, **found}.items() if k != "provenance" or v}

    @property
    def made_with(self) -> RetrievalSettings:
        """Settings of a retrieval; without any where the manifest names none."""
        return self.settings or RetrievalSettings()


_ORDER = [name for name in ManifestHeader.__dataclass_fields__ if name != "rest"]
