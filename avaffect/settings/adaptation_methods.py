"""Methods of `adapt`: SAAML, and those that it is compared with (its Tables 2 and 7)."""

from __future__ import annotations

from dataclasses import fields

from avaffect.core.errors import UsageError
from avaffect.settings.base import Settings, flags_of

SAAML, TAPT = "saaml", "tapt"
METHODS = (SAAML, TAPT)
# Options of the emotion and domain classifiers, of the pool, and weights of terms beside L_PT.
OF_SEVERAL_TERMS = (
    "layer", "without", "emotion_weight", "domain_weight", "pretraining_weight",
    "head_learning_rate",
)  # fmt: skip


def check_method(settings: Settings, method: str) -> None:
    """Raises UsageError for an option that has no effect with this method."""
    useless = OF_SEVERAL_TERMS if method == TAPT else ()
    for item in fields(settings):
        if item.name in useless and getattr(settings, item.name) != item.default:
            raise UsageError(
                f"{flags_of(item)[-1]} does not go with --method tapt, which trains L_PT alone: "
                "leave one of them out"
            )
