"""A support vector machine on the means over time: `finetune --head svm`.

Classes are told apart two by two (one-vs-one). scikit-learn fits it; what it found is kept as
tensors, which are applied without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from avaffect.core.errors import DataError
from avaffect.core.progress import SILENT, Progress
from avaffect.models.encoder import Encoded, Frames
from avaffect.models.heads.base import Examples, FittedHead, FrameHeadConfiguration, Outputs, means
from avaffect.models.pooling import as_frames
from avaffect.models.standardisation import Standardisation
from avaffect.settings.head_options import AUTO_KERNEL, SVMOptions

LINEAR, RBF = "linear", "rbf"
# Penalties that are tried where none is given, by kernel, in this order.
GRID = {LINEAR: (0.001, 0.01, 0.1, 1.0), RBF: (0.1, 1.0, 10.0, 100.0)}
# Where there is nothing to choose by.
DEFAULT_KERNEL, DEFAULT_PENALTY = RBF, 1.0
CACHE_MB = 500
# Products of numbers a second when a machine is fitted, roughly; each pair of utterances costs one
# for each number of a vector.
PRODUCTS_A_SECOND = 4e9


class Candidate(NamedTuple):
    """gamma: of the kernel exp(-gamma |x - y|^2); of no use to the linear one."""

    kernel: str
    penalty: float
    gamma: float


@dataclass(frozen=True)
class SVMConfiguration(SVMOptions, FrameHeadConfiguration):
    """standardise: the inputs are standardised first, by statistics that the head stores."""

    standardise: bool = False


class SVMHead(FittedHead):
    """Scores of classes from the decision values d_p of each pair p = (i, j) of classes, positive
    for i: of several classes the pairs that a class won, plus s / (3 (|s| + 1)), where s is the sum
    of its decision values, as scikit-learn's decision_function of shape "ovr"; of two, half their
    decision value, with both signs. They are no logarithms of probabilities.

    In float64: d = x weights^T + k(x, support) dual^T + intercepts of standardised means x, where a
    linear kernel has weights (P, D) and no support vector, and the kernel exp(-gamma |x - s|^2) has
    support (S, D) and dual (P, S), and weights of zeros. pairs (P, 2): indices of classes.
    """

    weights: Tensor
    support: Tensor
    dual: Tensor
    intercepts: Tensor
    gamma: Tensor
    pairs: Tensor

    def __init__(self, configuration: SVMConfiguration) -> None:
        c = configuration
        super().__init__(c.inputs, c.outputs)
        self.configuration = c
        self.standardisation = Standardisation(c.dim) if c.standardise else None
        double: dict[str, Any] = {"dtype": torch.float64}
        self.register_buffer("weights", torch.zeros(0, c.dim, **double))
        self.register_buffer("support", torch.zeros(0, c.dim))
        self.register_buffer("dual", torch.zeros(0, 0, **double))
        self.register_buffer("intercepts", torch.zeros(0, **double))
        self.register_buffer("gamma", torch.zeros((), **double))
        self.register_buffer("pairs", torch.zeros(0, 2, dtype=torch.long))

    def make_room(self, tensors: Mapping[str, Tensor]) -> None:
        for name in ("weights", "support", "dual", "intercepts", "pairs"):
            own, given = getattr(self, name), tensors.get(name)
            if given is not None and given.ndim == own.ndim:
                setattr(self, name, own.new_zeros(given.shape))

    def seconds(self, count: int, choosing: bool) -> float:
        products = float(count) ** 2 * self.configuration.dim
        return len(list(self._candidates(1.0, choosing))) * products / PRODUCTS_A_SECOND

    def fit(
        self,
        examples: Examples,
        score: Callable[[], float] | None = None,
        progress: Progress = SILENT,
    ) -> dict[str, str | float]:
        """The first of the best candidates; of equal scores the one that comes first. Its kernel,
        penalty (C) and gamma, and the number of its support vectors."""
        vectors = torch.from_numpy(examples.vectors).to(self.weights.device)
        x = self._standard(as_frames(vectors, self.inputs), None).cpu().numpy()
        spread = float(x.var(dtype=np.float64)) * x.shape[1]
        candidates = list(self._candidates(1 / spread if spread > 0 else 1.0, score is not None))
        best, chosen, kept = -np.inf, candidates[0], {}
        with progress.task("fit", len(candidates), "machines"):
            for candidate in candidates:
                machine = _fitted(x, examples, candidate)
                self._set(machine)
                found = 0.0 if score is None or len(candidates) == 1 else score()
                if found > best:
                    best, chosen, kept = found, candidate, machine
                progress.advance()
        self._set(kept)
        facts: dict[str, str | float] = {"kernel": chosen.kernel, "C": chosen.penalty}
        if chosen.kernel == RBF:
            facts |= {"gamma": chosen.gamma, "support_vectors": len(self.support)}
        return facts

    def _candidates(self, gamma: float, choosing: bool) -> Iterator[Candidate]:
        """gamma: where none is given."""
        given = self.configuration
        kernels = (given.kernel,) if given.kernel != AUTO_KERNEL else tuple(GRID)
        if not choosing and len(kernels) > 1:
            kernels = (DEFAULT_KERNEL,)
        for kernel in kernels:
            penalties = GRID[kernel] if choosing else (DEFAULT_PENALTY,)
            for penalty in (given.C,) if given.C else penalties:
                yield Candidate(kernel, penalty, given.gamma or gamma)

    def _set(self, machine: Mapping[str, np.ndarray]) -> None:
        for name, values in machine.items():
            own = getattr(self, name)
            setattr(self, name, torch.from_numpy(values).to(own.device, own.dtype))

    def forward(
        self, frames: Mapping[str, Encoded], present: Mapping[str, Tensor] | None = None
    ) -> Outputs:
        def over_time() -> Frames:
            raise DataError("--head svm predicts utterances, and nothing over time")

        return Outputs(
            lambda: self.scores(self.decisions(self._standard(frames, present))), over_time
        )

    def decisions(self, x: Tensor) -> Tensor:
        """(B, D) standardised means -> (B, P) float64 decision values of the pairs."""
        x = x.double()
        found = x @ self.weights.T + self.intercepts
        if len(self.support):
            support = self.support.double()
            squares = x.square().sum(1)[:, None] + support.square().sum(1) - 2 * x @ support.T
            found = found + torch.exp(-self.gamma * squares.clamp(min=0)) @ self.dual.T
        return found

    def scores(self, decisions: Tensor) -> Tensor:
        """(B, P) -> (B, classes); a class of which there was no example comes last."""
        first, second = (one_hot(of, self.outputs).double() for of in self.pairs.unbind(1))
        sums = decisions @ (first - second)
        if len(self.pairs) == 1:
            found = sums / 2
        else:
            won = (decisions >= 0).double()
            found = won @ first + (1 - won) @ second + sums / (3 * (sums.abs() + 1))
        absent = (first + second).sum(0) == 0
        return found.masked_fill(absent, -float(self.outputs)).float()

    def _standard(
        self, frames: Mapping[str, Encoded], present: Mapping[str, Tensor] | None
    ) -> Tensor:
        """(B, D) standardised means; 0 where an utterance lacks one of several inputs."""
        known = self.standardisation
        if known is None:
            return means(frames, self.inputs, present, self.weights.new_zeros(()).float())
        return known(means(frames, self.inputs, present, known.mean))


def _fitted(x: np.ndarray, examples: Examples, candidate: Candidate) -> dict[str, np.ndarray]:
    """The buffers of a head from scikit-learn's machine for x (N, D) float32, standardised."""
    from sklearn.svm import SVC

    present = np.unique(examples.targets).tolist()
    machine = SVC(
        kernel=candidate.kernel, C=candidate.penalty, gamma=candidate.gamma,
        class_weight={n: float(examples.weights[n]) for n in present}, cache_size=CACHE_MB,
    ).fit(x, examples.targets)  # fmt: skip
    owner = np.repeat(np.arange(len(machine.classes_)), machine.n_support_)
    pairs = list(combinations(range(len(machine.classes_)), 2))
    dual = np.zeros((len(pairs), len(owner)))
    for row, (i, j) in enumerate(pairs):
        # The coefficients of a class's vectors against each other class, in order without itself.
        dual[row, owner == i] = machine.dual_coef_[j - 1, owner == i]
        dual[row, owner == j] = machine.dual_coef_[i, owner == j]
    # Of two classes, scikit-learn's decision value is positive for the second.
    sign = -1.0 if len(pairs) == 1 else 1.0
    dual, support = sign * dual, np.asarray(machine.support_vectors_)
    none = np.zeros((len(pairs), 0))
    found = {
        "intercepts": sign * machine.intercept_,
        "gamma": np.array(candidate.gamma),
        "pairs": machine.classes_[np.array(pairs)],
    }
    if candidate.kernel == LINEAR:
        return found | {"weights": dual @ support, "support": support[:0], "dual": none}
    weights = np.zeros((len(pairs), x.shape[1]))
    return found | {"weights": weights, "support": support, "dual": dual}
