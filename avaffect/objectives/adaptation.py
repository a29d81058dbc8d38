"""Affective adaptation: SAAML's L = L_EC + L_DC + L_PT (equation 7)."""

from __future__ import annotations

import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.models.encoder import Encoder, Frames
from avaffect.models.gradient_reversal import reversal_strength
from avaffect.models.heads.attentive import Head
from avaffect.objectives.base import Context, Objective, ParameterGroup, Step
from avaffect.objectives.groups import module_groups
from avaffect.objectives.losses.cross_entropy import MISSING, accuracy, cross_entropy
from avaffect.objectives.losses.domain import domain_adversarial
from avaffect.objectives.masked_prediction import MaskedPrediction
from avaffect.objectives.pooling import usable_labels


class SAAML(Objective):
    """Emotion classification, domain confusion and continued pre-training of one encoder.

    A term is absent when its module is None: emotion (L_EC), domain (L_DC), pretraining (L_PT, an
    objective that owns `encoder`). batch.labels[label] holds the source's labels and the pool's
    pseudo-labels; batch.domain tells them apart (0 source, 1 pool).

    L_EC and L_DC read the mean of the valid frames of a pass without masks. The strength of the
    gradient reversal follows context.progress (Ganin and Lempitsky 2015).

    Losses "emotion" and "domain" (weight 1) and those of the pre-training, whose own weights are
    multiplied by weights["pretraining"] (1). Groups: "encoder", with the pre-training's head, which
    was trained together with it, and "heads".
    """

    def __init__(
        self,
        encoder: Encoder,
        label: str,
        emotion: Head | None = None,
        domain: Head | None = None,
        pretraining: Objective | None = None,
        weights: dict[str, float] | None = None,
        learning_rates: dict[str, float] | None = None,
    ) -> None:
        terms = {"emotion": 1.0, "domain": 1.0, "pretraining": 1.0, **(weights or {})}
        factor = terms.pop("pretraining")
        inner = pretraining.weights if pretraining is not None else {}
        super().__init__({**terms, **{name: factor * w for name, w in inner.items()}})
        if pretraining is not None and pretraining.encoder is not encoder:
            raise ValueError("the pre-training must own the encoder that is adapted")
        # Registered once, through the pre-training where there is one: a state dict with the
        # same tensor under two names cannot be saved.
        self.pretraining = pretraining
        self.alone = encoder if pretraining is None else None
        self.label = label
        self.emotion = emotion
        self.domain = domain
        self.learning_rates = dict(learning_rates or {})

    @property
    def encoder(self) -> Encoder:
        return self.alone if self.pretraining is None else self.pretraining.encoder

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        step, frames = self._pretrain(batch, context)
        if frames is not None:
            self._classify(frames.mean(), batch, context, step)
        return step

    def _pretrain(self, batch: Batch, context: Context) -> tuple[Step, Frames | None]:
        """The pre-training's step, and the frames for the classifiers (None: there are none)."""
        classifies = self.emotion is not None or self.domain is not None
        inner = self.pretraining
        if isinstance(inner, MaskedPrediction) and inner.hides_features_alone:
            # Both passes start from the same local features: they are computed once.
            plan = inner.plan(batch, context.generator)
            features = self.encoder.features(self._view(batch, context))
            step = inner.from_plan(plan, features)
            return step, self.encoder.contextualise(features) if classifies else None
        step = Step({}) if inner is None else inner(batch, context)
        return step, self.encoder(self._view(batch, context)) if classifies else None

    def _view(self, batch: Batch, context: Context) -> Batch:
        return self.encoder.view(batch, context.generator) if self.training else batch

    def _classify(self, pooled: Tensor, batch: Batch, context: Context, step: Step) -> None:
        if self.emotion is not None:
            labels = usable_labels(self.encoder, batch, batch.labels[self.label])
            logits = self.emotion(pooled)
            step.losses["emotion"] = cross_entropy(logits, labels)
            with torch.no_grad():
                step.metrics["emotion_accuracy"] = accuracy(logits, labels)
                if batch.domain is not None:
                    source = torch.where(batch.domain == 0, labels, MISSING)
                    step.metrics["emotion_accuracy_source"] = accuracy(logits, source)
        if self.domain is not None:
            strength = reversal_strength(context.progress)
            step.losses["domain"], step.metrics["domain_accuracy"] = domain_adversarial(
                self.domain, pooled, usable_labels(self.encoder, batch, batch.domain), strength
            )
            step.metrics["reversal_strength"] = (strength, 1.0)

    def counts(self, batch: Batch, context: Context, phase: str = "main") -> dict[str, float]:
        counts = {} if self.pretraining is None else self.pretraining.counts(batch, context)
        for name, module, labels in (
            ("emotion", self.emotion, batch.labels.get(self.label)),
            ("domain", self.domain, batch.domain),
        ):
            if module is not None:
                usable = usable_labels(self.encoder, batch, labels)
                counts[name] = float((usable != MISSING).sum())
        return counts

    def parameter_groups(self, phase: str = "main") -> list[ParameterGroup]:
        trunk = self.alone if self.pretraining is None else self.pretraining
        return module_groups(
            {"encoder": [trunk], "heads": [self.emotion, self.domain]}, self.learning_rates
        )
