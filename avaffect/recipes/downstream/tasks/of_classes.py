"""What labels of classes share, whether one class or votes for several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avaffect.models.heads.labels import LabelHead, Readout


@dataclass(frozen=True)
class OfClasses:
    """A head gives one logit a class."""

    name: str
    classes: tuple[str, ...]
    kind = "class"
    over_time = False
    scores = ("ua", "accuracy", "f1_macro")

    @property
    def columns(self) -> int:
        return len(self.classes)

    def readout(self, where: str) -> Readout:
        from avaffect.models.heads.labels import Readout

        return Readout(self.name, self.kind, classes=len(self.classes))

    def fit(self, head: LabelHead, number: int, where: str) -> None:
        """No statistics: classes have weights alone."""
