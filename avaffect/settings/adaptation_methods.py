"""Methods of `adapt`: SAAML, and those that it is compared with (its Tables 2 and 7)."""

from __future__ import annotations

from dataclasses import dataclass, fields

from avaffect.core.errors import UsageError
from avaffect.settings.base import flags_of, given_of, option
from avaffect.settings.training import TrainingSettings

SAAML, TAPT, FIXMATCH, CDAC = "saaml", "tapt", "fixmatch", "cdac"
METHODS = (SAAML, TAPT, FIXMATCH, CDAC)
TERMS = ("ec", "dc", "pt")
# Constants of the papers of FixMatch and CDAC.
CONFIDENCE, PSEUDO_LABEL_WEIGHT = 0.95, 1.0
CLUSTERING_WEIGHT, RANKED = 1.0, 5
CONSISTENCY_WEIGHT, CONSISTENCY_RAMP = 30.0, 2000
# Options that tapt has no use for: of classifiers, and weights of one term beside others.
OF_SEVERAL_TERMS = (
    "layer", "without", "emotion_weight", "domain_weight", "pretraining_weight",
    "head_learning_rate",
)  # fmt: skip
# Option -> the methods that it is for.
OF_METHODS = {
    "confidence": (FIXMATCH, CDAC),
    "pseudo_label_weight": (FIXMATCH, CDAC),
    "clustering_weight": (CDAC,),
    "ranked": (CDAC,),
    "consistency_weight": (CDAC,),
    "consistency_ramp": (CDAC,),
}


# Option -> the terms of the loss of which one at least must be trained for it to have an effect.
OF_TERMS = {
    "emotion_weight": ("ec",), "domain_weight": ("dc",), "pretraining_weight": ("pt",),
    "units": ("pt",), "layer": ("ec", "dc"), "head_learning_rate": ("ec", "dc"),
}  # fmt: skip
# Option -> the weight of the loss that it is of.
OF_WEIGHTS = {"consistency_ramp": "consistency_weight", "ranked": "clustering_weight"}


@dataclass(frozen=True, kw_only=True)
class MethodOptions(TrainingSettings):
    """Raises UsageError for an option that has no effect with the method."""

    method: str = option(
        SAAML, "Losses: saaml, those of Eq. 7; tapt (task-adaptive pre-training), the pre-training "
        "task alone, on the queries alone; fixmatch or cdac, other losses of retrieved utterances "
        "than the pseudo-label of their query. CTAPT is tapt, tested on another corpus.",
        "--method", choices=METHODS, added=True,
    )  # fmt: skip
    without: tuple[str, ...] = option(
        (), "Term of the loss to leave out: ec (emotion), dc (domain) or pt (pre-training). "
        "Repeatable.", "--without", choices=TERMS,
    )  # fmt: skip
    confidence: float | None = option(
        None, "Probability that makes a class a pseudo-label (fixmatch, cdac). Default: "
        f"{CONFIDENCE:g}.", "--confidence", at_least=0, at_most=1, added=True,
    )  # fmt: skip
    pseudo_label_weight: float | None = option(
        None, "Weight of the loss of pseudo-labels (fixmatch, cdac). Default: "
        f"{PSEUDO_LABEL_WEIGHT:g}.", "--pseudo-label-weight", at_least=0, added=True,
    )  # fmt: skip
    clustering_weight: float | None = option(
        None, f"Weight of adversarial clustering (cdac). Default: {CLUSTERING_WEIGHT:g}.",
        "--clustering-weight", at_least=0, added=True,
    )  # fmt: skip
    ranked: int | None = option(
        None, "Number of largest features that are the same in similar utterances (cdac). Default: "
        f"{RANKED}.", "--ranked", at_least=1, added=True,
    )  # fmt: skip
    consistency_weight: float | None = option(
        None, "Final weight of the difference of two strong views (cdac). Default: "
        f"{CONSISTENCY_WEIGHT:g}.", "--consistency-weight", at_least=0, added=True,
    )  # fmt: skip
    consistency_ramp: int | None = option(
        None, "Steps until the weight of the difference is the final one (cdac). Default: "
        f"{CONSISTENCY_RAMP}.", "--consistency-ramp", at_least=0, added=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        for item in fields(self):
            if getattr(self, item.name) == item.default:
                continue
            flag = flags_of(item)[-1]
            if self.method == TAPT and item.name in OF_SEVERAL_TERMS:
                raise UsageError(
                    f"{flag} does not go with --method tapt, which trains L_PT alone: leave one of "
                    "them out"
                )
            methods = OF_METHODS.get(item.name, METHODS)
            if self.method not in methods:
                raise UsageError(f"{flag} goes with --method {' or '.join(methods)}")
        for name, terms in OF_TERMS.items():
            # A weight of 0 leaves the term out, too.
            said = given_of(self, [name]) if getattr(self, name) != 0 else []
            if said and not set(terms) & set(self.terms):
                raise UsageError(
                    f"{said[0]} has no effect with --without "
                    f"{' --without '.join(terms)}: leave it out"
                )
        for name, weight in OF_WEIGHTS.items():
            if getattr(self, weight) == 0 and given_of(self, [name]):
                flag, other = given_of(self, [name])[0], weight.replace("_", "-")
                raise UsageError(f"{flag} has no effect with --{other} 0: leave it out")
        if self.semi_supervised and "ec" in self.without:
            raise UsageError(
                f"--without ec leaves out the classifier that --method {self.method} trains"
            )
        if self.method == CDAC and self.accumulate > 1:
            raise UsageError(
                "--accumulate divides a batch whose utterances --method cdac compares: use a "
                "larger --batch-utterances, or several processes"
            )

    @property
    def semi_supervised(self) -> bool:
        return self.method in (FIXMATCH, CDAC)

    @property
    def terms(self) -> tuple[str, ...]:
        """The terms of the loss that are trained."""
        known = ("pt",) if self.method == TAPT else TERMS
        return tuple(term for term in known if term not in self.without)

    @property
    def roles(self) -> tuple[str, ...]:
        """Whose utterances are trained on: query, pool."""
        return ("query",) if self.method == TAPT else ("query", "pool")

    @property
    def otherwise(self) -> str:
        """Advice where L_PT cannot be trained, for messages."""
        if self.method == TAPT:
            return "adapt another encoder (--encoder)"
        return "leave L_PT out with --without pt"
