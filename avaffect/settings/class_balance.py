"""Classes that are not equally frequent in `finetune`: weights, sampling, and smoothed targets."""

from __future__ import annotations

from dataclasses import dataclass

from avaffect.core.errors import UsageError
from avaffect.settings.base import Common, option

BALANCED, EFFECTIVE = "balanced", "effective"
# Of the four that Cui et al. 2019 tried, the one for hundreds of utterances a class.
BETA = 0.999
# The best in Lin et al. 2017.
GAMMA = 2.0


@dataclass(frozen=True)
class ClassBalance:
    """How the classes of a label are learned.

    weights    scheme of class weights, "balanced" or "effective"; None: all are 1
    beta       of effective numbers
    sampled    whether each class gives the same number of utterances in an epoch
    smoothing  share of a target that is spread over all classes
    gamma      of the focal loss
    """

    weights: str | None = None
    beta: float = BETA
    sampled: bool = False
    smoothing: float = 0.0
    gamma: float = GAMMA


@dataclass(frozen=True, kw_only=True)
class BalanceOptions(Common):
    """Raises UsageError for options that exclude or need each other."""

    class_weights: str | None = option(
        None, "Weights of classes and distributions in the loss, by their number in the training "
        "part: balanced, n / (K n_c), or effective, 1 / (1 - beta^n_c). Default: all are 1.",
        "--class-weights", choices=(BALANCED, EFFECTIVE), added=True,
    )  # fmt: skip
    class_weights_beta: float | None = option(
        None, f"Beta of --class-weights effective. Default: {BETA:g}.", "--class-weights-beta",
        metavar="B", at_least=0, below=1, added=True,
    )  # fmt: skip
    sampler: str | None = option(
        None, "Utterances of an epoch: balanced, as many of each class of the first label that has "
        "classes. Default: every utterance once.", "--sampler", choices=(BALANCED,), added=True,
    )  # fmt: skip
    label_smoothing: float = option(
        0.0, "Share of the target of a class or distribution that is spread evenly over all "
        "classes.", "--label-smoothing", metavar="S", at_least=0, below=1, added=True,
    )  # fmt: skip
    focal_gamma: float | None = option(
        None, f"Gamma of --loss focal: how much less an utterance counts that is learned already. "
        f"Default: {GAMMA:g}.", "--focal-gamma", metavar="G", at_least=0, added=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.class_weights_beta is not None and self.class_weights != EFFECTIVE:
            raise UsageError("--class-weights-beta goes with --class-weights effective")
        if self.class_weights and self.sampler:
            raise UsageError(
                "--class-weights and --sampler balanced each balance the classes, and together do "
                "it twice; choose one"
            )

    @property
    def balance(self) -> ClassBalance:
        return ClassBalance(
            self.class_weights,
            BETA if self.class_weights_beta is None else self.class_weights_beta,
            self.sampler == BALANCED,
            self.label_smoothing,
            GAMMA if self.focal_gamma is None else self.focal_gamma,
        )

    @property
    def balance_flags(self) -> list[str]:
        """The options that were given and need classes."""
        given = {
            "--class-weights": self.class_weights,
            "--sampler": self.sampler,
            "--label-smoothing": self.label_smoothing,
        }
        return [flag for flag, value in given.items() if value]
