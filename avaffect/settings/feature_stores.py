"""Features of several stores, as `finetune --features` and `predict --features` name them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from avaffect.core.errors import UsageError

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
# What the frames of an encoder are called.
RESERVED = "encoder"


def parse_features(texts: Sequence[str]) -> dict[str, Path]:
    """NAME=STORE -> name: store, in order.

    Raises UsageError for another spelling, and a name that is given twice or is the encoder's.
    """
    found: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or not path or not NAME.fullmatch(name):
            raise UsageError(
                f"--features {text}: expected NAME=STORE.h5, a name of letters, digits, - and _"
            )
        if name in found or name == RESERVED:
            why = "is given twice" if name in found else "is the name of --encoder's frames"
            raise UsageError(f"--features {text}: {name} {why}")
        found[name] = Path(path)
    return found
