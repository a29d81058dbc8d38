"""A package beside avaffect that adds parts through entry points, as if it were installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from avaffect.core.registry import Registry
from avaffect.data.corpora import CORPORA
from avaffect.models.published import FAMILIES
from avaffect.models.registry import ENCODERS
from avaffect.objectives.registry import OBJECTIVES
from avaffect.recipes.encoding.front_ends import FRONT_ENDS
from avaffect.settings.label_losses import LOSSES

REGISTRIES: tuple[Registry, ...] = (ENCODERS, OBJECTIVES, FRONT_ENDS, CORPORA, LOSSES, FAMILIES)


def install(site: Path, entry_points: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text of entry_points.txt; "" takes the package away again."""
    folder = site / "other_package-1.0.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: other_package\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(entry_points)
    monkeypatch.syspath_prepend(str(site))
    forget()


def forget() -> None:
    """As in a new process: which packages there are is looked up once."""
    for registry in REGISTRIES:
        registry.__dict__.pop("_points", None)
