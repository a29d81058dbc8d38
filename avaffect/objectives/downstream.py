"""A head on an encoder, whatever it learns from: what all downstream tasks share."""

from __future__ import annotations

from avaffect.core.batch import Batch
from avaffect.models.encoder import Encoder
from avaffect.models.heads import Head
from avaffect.models.recurrent_head import RecurrentHead
from avaffect.objectives.base import Context, Objective, ParameterGroup
from avaffect.objectives.groups import module_groups


class Downstream(Objective):
    """Owns a head and an encoder. Groups "encoder" and "heads".

    frozen: the encoder stays in evaluation mode and gets no gradient. learning_rates: of the
    groups; the run's own where a name is missing.
    """

    def __init__(
        self,
        head: Head | RecurrentHead,
        encoder: Encoder | None,
        frozen: bool,
        learning_rates: dict[str, float] | None,
    ) -> None:
        super().__init__()
        self.head = head
        self.encoder = encoder
        self.frozen = frozen or encoder is None
        self.learning_rates = dict(learning_rates or {})
        if self.frozen and encoder is not None:
            encoder.requires_grad_(False)
            encoder.eval()

    def train(self, mode: bool = True) -> Downstream:
        super().train(mode)
        if self.frozen and self.encoder is not None:
            self.encoder.eval()
        return self

    def seen(self, batch: Batch, context: Context) -> Batch:
        """The view of a batch that the encoder sees: a random one where it is being trained."""
        if self.training and not self.frozen:
            return self.encoder.view(batch, context.generator)
        return batch

    def parameter_groups(self, phase: str = "main") -> list[ParameterGroup]:
        return module_groups({"encoder": [self.encoder], "heads": [self.head]}, self.learning_rates)
