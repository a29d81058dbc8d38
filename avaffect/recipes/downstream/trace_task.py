"""A head trained for traces, labels over time, several at once (Shukla et al. 2021, SS-VAERR)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.headers import TraceOutputs
from avaffect.core.progress import Progress
from avaffect.data.dataset import Dataset
from avaffect.data.traces import Traces, delayed, resample
from avaffect.evaluation import concordance
from avaffect.evaluation.binning import clusters, equal_width
from avaffect.recipes.downstream.labelled_data import TracedUtterances
from avaffect.settings.finetune import FinetuneSettings
from avaffect.settings.trace_losses import BINS, OF_BINS, OF_VALUES, Weights
from avaffect.training.ending import ending

# CCC on the training part: below this nothing was learned, and above that enough.
CHANCE, LEARNED = 0.05, 0.9

# As in `downstream`.
if TYPE_CHECKING:
    import torch

    from avaffect.models.encoder import Encoder
    from avaffect.models.heads.trace import TraceHead
    from avaffect.objectives.trace_regression import TraceRegression
    from avaffect.recipes.downstream.heads import AnyHead
    from avaffect.training.spool import Spool


@dataclass(frozen=True)
class TraceTask:
    """losses: name of each label -> {loss: weight}; delay_s: how late annotators were: the frames
    of a time learn what was annotated so much later; window_s: in windows so long longer recordings
    are predicted, None: the default ones."""

    utterances: TracedUtterances
    losses: dict[str, Weights]
    delay_s: float = 0.0
    window_s: float | None = None
    scores = ("ccc",)

    def of(self, utterances: TracedUtterances) -> TraceTask:
        return replace(self, utterances=utterances)

    def check(self, utterances: TracedUtterances, where: str) -> None:
        """Every loss needs gold that varies, and nCCE as many different values as clusters."""
        for name, weights in self.losses.items():
            values = self._learned(utterances, name)
            if len(np.unique(values)) < 2:
                late = f" after the first {self.delay_s:g} s (--delay)" if self.delay_s else ""
                raise DataError(
                    f"{where}: {name} never changes in what is trained on{late}; there is nothing "
                    "to learn"
                )
            _centres(where, name, weights, values)

    def doubts(self, development: TracedUtterances) -> list[str]:
        words = []
        for name, traces in development.traces.items():
            values = _joined(traces.values)
            if len(np.unique(values[~np.isnan(values)])) < 2:
                words.append(
                    f"{name} never changes in the development part: by its ccc all epochs are "
                    "equally good; choose by other utterances, or keep the last: --select none"
                )
        return words

    def share(self, mask: np.ndarray, fraction: float, seed: int) -> np.ndarray:
        return self.utterances.share(mask, fraction, seed)

    def label(self, dataset: Dataset, rate_hz: float) -> Dataset:
        traces = {}
        for name, found in self.utterances.traces.items():
            values = [
                resample(value, found.rate_hz, rate_hz, ahead_s=self.delay_s)
                for value in found.values
            ]
            traces[name] = Traces(rate_hz, 0, values)
        return replace(dataset, traces=traces)

    def head(self, settings: FinetuneSettings, dim: int, train: np.ndarray) -> TraceHead:
        """With the bins of the training part's labels, which travel with the weights."""
        import torch

        from avaffect.models import registry
        from avaffect.models.heads.trace import TraceHead, TraceHeadConfiguration
        from avaffect.recipes.downstream import heads

        utterances = self.utterances.chosen(train)
        where = str(settings.media[0])
        centres = [
            _centres(where, name, weights, self._learned(utterances, name))
            for name, weights in self.losses.items()
        ]
        values = tuple(not weights.keys().isdisjoint(OF_VALUES) for weights in self.losses.values())
        bins = tuple(len(found) for found in centres)
        beneath = heads.new_head(settings, dim, sum(values) + sum(bins))
        head = TraceHead(TraceHeadConfiguration(registry.describe(beneath), values, bins), beneath)
        for label, found in enumerate(centres):
            if len(found):
                head.centres(label).copy_(torch.from_numpy(found))
        return head

    def objective(
        self, head: TraceHead, encoder: Encoder | None, frozen: bool, rates: dict[str, float],
        penalty: float = 0.0,
    ) -> TraceRegression:  # fmt: skip
        from avaffect.objectives.trace_regression import TraceRegression

        return TraceRegression(head, self.losses, encoder, frozen, rates)

    def score(
        self, head: AnyHead, encoder: Encoder, dataset: Dataset, device: torch.device,
        batch_seconds: float, progress: Progress, kept: Spool | None,
    ) -> dict[str, float]:  # fmt: skip
        """CCC over all utterances joined: "ccc_NAME" of each label where it is defined, "ccc" their
        mean. As `predict` writes them, predictions stand late by the delay."""
        from avaffect.recipes.downstream import heads
        from avaffect.recipes.downstream.windows import windows_of

        windows = windows_of(self.window_s)
        found = heads.traces(
            encoder, [head], dataset, device, batch_seconds, progress, windows, kept
        )
        rows = {identifier: row for row, identifier in enumerate(self.utterances.ids)}
        scores: dict[str, float] = {}
        for index, name in enumerate(self.losses):
            rate_hz, given = dataset.traces[name].rate_hz, self.utterances.traces[name]
            pairs = []
            for identifier, values in zip(dataset.ids, found):
                predicted = delayed(values[:, 0, index], rate_hz, self.delay_s)
                gold = given.values[rows[identifier]]
                pairs.append((predicted, resample(gold, given.rate_hz, rate_hz, len(predicted))))
            score = concordance.ccc(*(_joined(side) for side in zip(*pairs)))
            if not np.isnan(score):
                scores[f"ccc_{name}"] = score
        return {"ccc": float(np.mean(list(scores.values()))), **scores} if scores else {}

    def ended(self, lines: Sequence[dict[str, Any]], train: TracedUtterances) -> tuple[bool, bool]:
        """Chance: no concordance of any label."""
        found = [ending(lines, f"concordance_{name}") for name in self.losses]
        known = [one for one in found if one is not None]
        if not known:
            return False, False
        chance = all(one.late < CHANCE for one in known)
        rising = any(one.late < LEARNED and one.falling(-1.0) for one in known)
        return rising and not chance, chance

    def header(self, rate_hz: float) -> dict[str, Any]:
        outputs = TraceOutputs(
            names=tuple(self.losses),
            rate_hz=rate_hz,
            delay_s=self.delay_s,
            window_s=self.window_s,
            losses=self.losses,
        )
        return {"traces": outputs}

    def _learned(self, utterances: TracedUtterances, name: str) -> np.ndarray:
        """(N,) known values of a label that some frame learns: the first are nobody's when labels
        come late."""
        traces = utterances.traces[name]
        first = int(np.ceil(round(self.delay_s * traces.rate_hz, 6)))
        values = _joined([value[first:] for value in traces.values])
        return values[~np.isnan(values)]


def _centres(where: str, name: str, weights: Weights, values: np.ndarray) -> np.ndarray:
    """(bins,) centres as the loss has them; none where it has no bins."""
    if weights.keys().isdisjoint(OF_BINS):
        return np.empty(0)
    if "ce" in weights:
        return equal_width(values, BINS)
    try:
        return clusters(values, BINS)
    except DataError as error:
        raise DataError(f"{where}: {name}: {error}") from error


def _joined(values: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype=np.float32), *values])
