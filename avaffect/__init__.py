"""avaffect: composable commands for affect-aware audiovisual representations.

Every command is a function of this package (`avaffect.extract(...)`), beside `Store`,
`read_manifest`, `load_encoder`, `make_batch` and the errors; see `avaffect.api`. They are imported
when first used: importing the package imports nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PLACES = {
    "AvaffectError": "avaffect.core.errors",
    "DataError": "avaffect.core.errors",
    "Manifest": "avaffect.data.manifest",
    "OutputExistsError": "avaffect.core.errors",
    "Store": "avaffect.data.store.reader",
    "UsageError": "avaffect.core.errors",
    "Utterance": "avaffect.data.store.utterance",
    "load_encoder": "avaffect.api",
    "make_batch": "avaffect.api",
    "read_manifest": "avaffect.api",
}


def __getattr__(name: str) -> Any:
    found = None
    if name in _PLACES:
        found = getattr(importlib.import_module(_PLACES[name]), name)
    elif not name.startswith("_"):
        found = importlib.import_module("avaffect.api").function(name)
    if found is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES, *importlib.import_module("avaffect.api").names()})
