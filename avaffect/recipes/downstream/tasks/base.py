"""The contract of a kind of label: its labels, outputs, losses and scores.

`finetune` divides the utterances, trains and keeps; `labels.Labels` holds the tasks of one run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from avaffect.data.dataset import Dataset
from avaffect.settings.label_losses import Weights

# Kinds of label are known before there is work: torch comes with the work.
if TYPE_CHECKING:
    from avaffect.models.heads.labels import LabelHead, Readout
    from avaffect.objectives.criteria import Criterion

Line = Mapping[str, Any]


class Task(Protocol):
    """One label of N utterances.

    kind: as in a store; scores: names for --select, the default first; over_time: whether it is
    predicted for each step rather than for each utterance.
    """

    kind: str
    over_time: bool

    @property
    def name(self) -> str: ...

    @property
    def scores(self) -> tuple[str, ...]: ...

    @property
    def losses(self) -> Weights:
        """Loss -> weight."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Of a class or of votes; none of other kinds."""

    @property
    def columns(self) -> int:
        """Numbers of a head's output for an utterance, or for a step."""

    @property
    def known(self) -> np.ndarray:
        """(N,) bool: utterances that have the label."""

    def chosen(self, mask: np.ndarray) -> Task:
        """The same label of some of the utterances, mask (N,) bool."""

    def check(self, where: str) -> None:
        """Raises DataError where these utterances give nothing to learn."""

    def doubts(self) -> list[str]:
        """Reasons why these utterances cannot select the epoch, as sentences."""

    def strata(self) -> np.ndarray | None:
        """(N,) int64: groups of which a share is drawn from each; None without groups."""

    def counted(self) -> dict[str, int]:
        """Class -> number of its utterances; empty for other kinds."""

    def label(self, dataset: Dataset, rate_hz: float) -> Dataset:
        """The dataset of these utterances with their labels; traces at the rate of the head."""

    def readout(self, where: str) -> Readout:
        """The outputs that the label needs, with statistics of these utterances."""

    def fit(self, head: LabelHead, number: int, where: str) -> None:
        """Give a head, whose `number`-th label this is, its constants from these utterances."""

    def criterion(self, number: int, alone: bool) -> Criterion:
        """Its losses. alone: whether it is the only label."""

    def score(self, found: Sequence[np.ndarray], rate_hz: float) -> dict[str, float]:
        """Scores of a head's outputs for each utterance: (columns,), or (T,) at a rate."""

    def ended(self, lines: Sequence[Line], alone: bool) -> tuple[bool, bool]:
        """From the history of a run on these utterances: whether it ended while still learning, and
        whether it never left chance."""
