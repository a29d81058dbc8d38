"""Corpus adapters: each turns a folder or a table into items of one spelling; one file each.

An adapter is a module with its NAME, the OPTIONS of `manifest` that it reads besides the folder,
and read(settings) -> Corpus. It is imported when its corpus is named.
"""

from __future__ import annotations

import importlib
from dataclasses import fields
from types import ModuleType

from avaffect.core.errors import UsageError
from avaffect.data.corpora.common import Corpus
from avaffect.settings.base import Common
from avaffect.settings.manifest import ManifestSettings

MODULES = {
    "emodb": "emodb",
    "ravdess": "ravdess",
    "cremad": "cremad",
    "msp-improv": "msp_improv",
    "iemocap": "iemocap",
    "recola": "recola",
    "sewa": "sewa",
    "semaine": "semaine",
    "aff-wild2": "aff_wild2",
    "voxceleb2": "voxceleb2",
    "lrw": "lrw",
    "lrs3": "lrs3",
    "grid": "grid",
    "speech-commands": "speech_commands",
    "table": "table",
}


def adapter(corpus: str) -> ModuleType:
    """The adapter of a corpus. Raises UsageError where there is none."""
    if corpus not in MODULES:
        raise UsageError(f"no corpus {corpus!r}: there are {', '.join(MODULES)}")
    return importlib.import_module(f"{__name__}.{MODULES[corpus]}")


def read(settings: ManifestSettings) -> Corpus:
    """The corpus that `settings` name.

    Raises UsageError for an unknown corpus or an option that it does not read, DataError where
    the folder or the table is not what it should be.
    """
    found = adapter(settings.corpus)
    for option in _particular():
        if option not in found.OPTIONS and getattr(settings, option) not in (None, (), False):
            flag = "--" + option.removesuffix("_column").replace("_", "-")
            raise UsageError(f"{flag} does not apply to {settings.corpus}; leave it out")
    return found.read(settings)


def _particular() -> list[str]:
    """Options of `manifest` that some corpora read."""
    shared = {field.name for field in fields(Common)} | {"corpus", "source", "strict"}
    return sorted({field.name for field in fields(ManifestSettings)} - shared)
