"""What all runs of a classifier share in `finetune`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from avaffect.core.progress import Progress
from avaffect.data.dataset import Dataset
from avaffect.data.vectors import ChosenVectors
from avaffect.models.heads.base import FrameHead
from avaffect.models.inputs import Inputs
from avaffect.recipes.downstream.freezing import Treatment
from avaffect.recipes.downstream.sources import Opened
from avaffect.recipes.downstream.tasks.labels import Labels
from avaffect.settings.finetune import FinetuneSettings
from avaffect.training.run import Run
from avaffect.training.spool import Spool

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass
class Material:
    """form     an untrained head with a single output, of the form that each run trains
    dataset  the labelled utterances, with traces at the rate of the head's steps
    pooled   (N, D) where the head reads means, or moments, of frozen inputs alone; NaN for inputs
             that an utterance lacks
    once     the inputs in place of those opened, where the encoder's frames were computed once
    """

    settings: FinetuneSettings
    labels: Labels
    dataset: Dataset
    opened: Opened
    form: FrameHead
    treatment: Treatment
    fabric: Fabric
    progress: Progress
    pooled: np.ndarray | ChosenVectors | None = None
    once: Inputs | None = None

    @property
    def inputs(self) -> Inputs:
        """What frozen runs read."""
        return self.once or self.opened.inputs

    @property
    def reads_means(self) -> bool:
        """Whether the head is applied to means, or moments, which are computed once."""
        frozen = self.settings.mode == "frozen"
        enough = self.form.reads_means or self.form.reads_moments
        return frozen and enough and not self.labels.over_time

    @property
    def trains_on_means(self) -> bool:
        """Whether it is also trained on them: augmented faces and sound give other means each
        time."""
        return self.reads_means and not self.treatment.augments

    @property
    def vectors(self) -> np.ndarray | ChosenVectors | None:
        """The means, where heads train on them."""
        return self.pooled if self.trains_on_means else None

    def spool(self, run: Run, name: str) -> Spool | None:
        """The folder of rows that are computed for a run."""
        return run.spool(name, self.progress.warn, self.fabric.global_rank == 0)
