"""Front-ends by name, known without torch; open to other packages.

A package adds one through an entry point of the group "avaffect.front_ends" that names a
`models.front_ends.FrontEnd`.
"""

from __future__ import annotations

from pathlib import Path

from avaffect.core.registry import Registry

FRONT_ENDS = Registry("front-end", "avaffect.front_ends")
for _name, _attribute, _package in (
    ("mfcc", "MFCC", None),
    ("logmel", "LOG_MEL", None),
    ("compare-lld", "COMPARE_LLD", "opensmile"),
    ("egemaps", "EGEMAPS", "opensmile"),
    ("compare-functionals", "COMPARE_FUNCTIONALS", "opensmile"),
    ("egemaps-functionals", "EGEMAPS_FUNCTIONALS", "opensmile"),
):
    FRONT_ENDS.register(_name, None, f"avaffect.models.front_ends:{_attribute}", needs=_package)


def is_named(model: str) -> bool:
    """Whether `model`, a front-end or the path of a checkpoint, is a front-end.

    A checkpoint is no reason to look through other packages.
    """
    return FRONT_ENDS.owns(model) or (not Path(model).exists() and model in FRONT_ENDS)
