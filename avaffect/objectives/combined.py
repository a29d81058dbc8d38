"""Affective adaptation: SAAML's L = L_EC + L_DC + L_PT (equation 7)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.models.encoder import Encoded, Encoder
from avaffect.models.gradient_reversal import reversal_strength
from avaffect.models.heads.dense import Head
from avaffect.objectives.base import Context, Objective, ParameterGroup, Pretraining, Step
from avaffect.objectives.cropping import crop
from avaffect.objectives.groups import module_groups
from avaffect.objectives.losses.cross_entropy import MISSING, accuracy, cross_entropy
from avaffect.objectives.losses.domain import domain_adversarial
from avaffect.objectives.modalities import drawn_modality
from avaffect.objectives.pooling import usable_labels
from avaffect.objectives.semi_supervised import Retrieved, SemiSupervised
from avaffect.signal import ranks

ENCODER, HEADS = "encoder", "heads"
# Probability that the modality that is dropped is audio.
AUDIO_DROPS = 0.5


class Combined(Objective):
    """Emotion classification, domain confusion and continued pre-training of one encoder.

    A term is absent if its module is None: emotion (L_EC), domain (L_DC), pretraining (L_PT, any
    objective that owns `encoder`). batch.labels[label] has the labels of the source and the
    pseudo-labels of the pool; batch.domain is 0 for the source, 1 for the pool.

    L_EC and L_DC use the mean of the valid frames, of the output or of a `layer`, of a pass without
    masks, in the first phase. The strength of the gradient reversal follows context.progress (Ganin
    and Lempitsky 2015). The pre-training keeps its phases, coupling, optimiser constants, parameter
    groups and hooks, and the length of its clips. Raises UsageError for a layer that the encoder
    does not have.

    modality_dropout: probability that a batch lacks audio or video in all terms; None: the
    classifiers read what the batch has, and the pre-training drops modalities as it was configured.

    unlabelled: a method that learns from retrieved utterances in place of their pseudo-labels: the
    emotion loss is then of the source alone, of the method's weak view, and the method's own losses
    are added. It needs `emotion`.

    Losses: "emotion" and "domain" (weight 1) and those of the pre-training, whose own weights are
    multiplied by weights["pretraining"] (1). Groups: "encoder", with the head of the pre-training,
    which was trained together with it, and "heads".
    """

    def __init__(
        self,
        encoder: Encoder,
        label: str,
        emotion: Head | None = None,
        domain: Head | None = None,
        pretraining: Pretraining | None = None,
        weights: Mapping[str, float] | None = None,
        learning_rates: Mapping[str, float] | None = None,
        layer: int | None = None,
        modality_dropout: float | None = None,
        unlabelled: SemiSupervised | None = None,
    ) -> None:
        encoder.check_layer(layer)
        terms = {"emotion": 1.0, "domain": 1.0, "pretraining": 1.0, **(weights or {})}
        self.factor = terms.pop("pretraining")
        inner = {} if pretraining is None else pretraining.weights
        super().__init__({**terms, **{name: self.factor * w for name, w in inner.items()}})
        if pretraining is not None and pretraining.encoder is not encoder:
            raise ValueError("the pre-training must own the encoder that is adapted")
        if unlabelled is not None and emotion is None:
            raise ValueError("what is learned of unlabelled utterances needs an emotion classifier")
        self.unlabelled = unlabelled
        if inner.keys() & terms.keys():
            raise ValueError(f"{' and '.join(inner.keys() & terms.keys())}: a loss of two terms")
        # Registered once, through the pre-training if there is one: a state dict with the same
        # tensor under two names cannot be saved.
        self.pretraining = pretraining
        self.alone = encoder if pretraining is None else None
        self.label, self.layer = label, layer
        self.emotion = emotion
        self.domain = domain
        self.learning_rates = dict(learning_rates or {})
        self.modality_dropout = modality_dropout or 0.0
        if modality_dropout is not None and pretraining is not None:
            pretraining.keep_modalities()
        if pretraining is not None:
            self.phases, self.coupled = pretraining.phases, pretraining.coupled
            self.gathers = pretraining.gathers
            self.betas, self.epsilon = pretraining.betas, pretraining.epsilon
        if unlabelled is not None and unlabelled.coupled:
            # The method gathers the utterances of all ranks; a coupled pre-training may not.
            self.coupled, self.gathers = True, self.gathers or not self.coupled

    @property
    def encoder(self) -> Encoder:
        if self.pretraining is not None:
            return self.pretraining.encoder
        assert self.alone is not None
        return self.alone

    def _classifies(self, phase: str) -> bool:
        some = self.emotion is not None or self.domain is not None
        return some and phase == self.phases[0]

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        batch = self._shown(batch, context)
        step, frames = self._pretrain(batch, context, phase)
        if frames is not None:
            self._classify(frames.mean(), batch, context, step)
        return step

    def _pretrain(self, batch: Batch, context: Context, phase: str) -> tuple[Step, Encoded | None]:
        """The pre-training's step, and the frames for the classifiers (None: there are none)."""
        inner, frames = self.pretraining, None
        if inner is None:
            step = Step({})
        elif self._shares_a_pass(inner, phase):
            step, frames = inner.with_frames(batch, context, phase)
        else:
            step = inner(self._own(inner, batch, context), context, phase)
        for name in step.losses:
            # Losses without a weight in the pre-training have weight 1.
            self.weights.setdefault(name, self.factor)
        if frames is None and self._classifies(phase):
            frames = self.encoder(self._view(batch, context), layer=self.layer)
        return step, frames

    def _shares_a_pass(self, inner: Pretraining, phase: str) -> bool:
        """Whether the classifiers read what the pre-training does."""
        other = self.layer is not None or self.unlabelled is not None
        return inner.needs.crop_s is None and self._classifies(phase) and not other

    def _view(self, batch: Batch, context: Context) -> Batch:
        """What the classifiers read."""
        if not self.training:
            return batch
        batch = self.encoder.view(batch, context.generator)
        if self.unlabelled is None:
            return batch
        return self.unlabelled.views.weak(batch, context.generator)

    def _shown(self, batch: Batch, context: Context) -> Batch:
        """The batch, of which one modality may be dropped."""
        dropped, rows = drawn_modality(batch, self.modality_dropout, AUDIO_DROPS, context.generator)
        return batch if dropped is None else batch.without(dropped, rows)

    @staticmethod
    def _own(inner: Pretraining, batch: Batch, context: Context) -> Batch:
        """The clips of a batch that the pre-training reads."""
        seconds = inner.needs.crop_s
        return batch if seconds is None else crop(batch, seconds, context.generator)

    def _classify(self, pooled: Tensor, batch: Batch, context: Context, step: Step) -> None:
        if self.emotion is not None:
            labels = usable_labels(self.encoder, batch, batch.labels[self.label])
            logits = self.emotion(pooled)
            step.losses["emotion"] = cross_entropy(logits, self._learned(batch, labels))
            if self.unlabelled is not None:
                self._learn_unlabelled(pooled, labels, batch, context, step)
            with torch.no_grad():
                step.metrics["emotion_accuracy"] = accuracy(logits, labels)
                if batch.domain is not None:
                    source = torch.where(batch.domain == 0, labels, MISSING)
                    step.metrics["emotion_accuracy_source"] = accuracy(logits, source)
        if self.domain is not None:
            strength = reversal_strength(context.progress)
            step.losses["domain"], step.metrics["domain_accuracy"] = domain_adversarial(
                self.domain, pooled, usable_labels(self.encoder, batch, _domains(batch)), strength
            )
            step.metrics["reversal_strength"] = (strength, 1.0)

    def _learned(self, batch: Batch, labels: Tensor) -> Tensor:
        """(B,) the labels that the emotion loss learns."""
        return labels if self.unlabelled is None else labels.where(_domains(batch) == 0, MISSING)

    def _learn_unlabelled(
        self, pooled: Tensor, labels: Tensor, batch: Batch, context: Context, step: Step
    ) -> None:
        assert self.unlabelled is not None and self.emotion is not None
        there = _domains(batch) == 1
        found = Retrieved(
            batch.chosen(there), pooled[there], labels[there], self.encoder, self.layer
        )
        with ranks.among(there):
            own = self.unlabelled.step(self.emotion, found, context)
        step.losses |= own.losses
        step.metrics |= own.metrics
        self.weights |= self.unlabelled.weights(context.step)

    def counts(self, batch: Batch, context: Context, phase: str = "main") -> dict[str, float]:
        inner = self.pretraining
        counts = {}
        if inner is not None:
            # A copy of the generator: `forward` will draw the same clips from the original.
            generator = torch.Generator()
            generator.set_state(context.generator.get_state())
            there = Context(context.step, context.epoch, context.progress, generator)
            shown = self._own(inner, self._shown(batch, there), there)
            counts = inner.counts(shown, there, phase)
        if not self._classifies(phase):
            return counts
        if self.emotion is not None:
            labels = batch.labels[self.label]
            counts["emotion"] = self._labelled(batch, self._learned(batch, labels))
            if self.unlabelled is not None:
                # Of methods that compare no utterances; others are not accumulated.
                others = self._labelled(batch, labels) - counts["emotion"]
                counts |= dict.fromkeys(self.unlabelled.weights(context.step), others)
        if self.domain is not None:
            counts["domain"] = self._labelled(batch, _domains(batch))
        return counts

    def _labelled(self, batch: Batch, labels: Tensor) -> float:
        """Number of utterances with a label (B,) and a frame."""
        return float((usable_labels(self.encoder, batch, labels) != MISSING).sum())

    def parameter_groups(self, phase: str = "main") -> list[ParameterGroup]:
        inner = self.pretraining
        if inner is None:
            trunk = module_groups({ENCODER: [self.alone]}, {})
        else:
            trunk = inner.parameter_groups(phase)
        trunk = [self._as_encoder(group) for group in trunk]
        if not self._classifies(phase):
            return trunk
        there = {id(p) for group in trunk for p in group.parameters}
        left = [p for p in self.encoder.parameters() if p.requires_grad and id(p) not in there]
        if left:
            # L_EC and L_DC train the whole encoder, whatever the pre-training trains in this phase.
            trunk.append(self._as_encoder(ParameterGroup("left", left)))
        heads = module_groups({HEADS: [self.emotion, self.domain]}, self.learning_rates)
        return [*trunk, *heads]

    def _as_encoder(self, group: ParameterGroup) -> ParameterGroup:
        """A group of the pre-training, at the learning rate of the encoder."""
        name = ENCODER if group.name in ("all", ENCODER) else f"{ENCODER}_{group.name}"
        rate = {"lr": self.learning_rates[ENCODER]} if ENCODER in self.learning_rates else {}
        return ParameterGroup(name, group.parameters, {**group.options, **rate})

    def before_step(self, context: Context, phase: str = "main") -> None:
        if self.pretraining is not None:
            self.pretraining.before_step(context, phase)

    def after_step(self, context: Context, phase: str = "main") -> None:
        if self.pretraining is not None:
            self.pretraining.after_step(context, phase)

    def collapse(self, metrics: Mapping[str, float]) -> str | None:
        return None if self.pretraining is None else self.pretraining.collapse(metrics)


def _domains(batch: Batch) -> Tensor:
    """(B,) 0 source, 1 pool; `adapt` always sets them."""
    assert batch.domain is not None
    return batch.domain
