"""Corpus adapters, one file each: from a folder or a table to items with common names of labels.

Another package adds a corpus through an entry point of the group "avaffect.corpora" that names an
`Adapter`: a module, say.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Protocol

from avaffect.core.errors import UsageError
from avaffect.core.inputs import STANDARD_INPUT
from avaffect.core.registry import Registry
from avaffect.data import label_maps
from avaffect.data.corpora.common import Corpus
from avaffect.settings.base import Common
from avaffect.settings.manifest import FORMATS, ManifestSettings


class Adapter(Protocol):
    """NAME: of the corpus. OPTIONS: fields of the settings of `manifest` that it reads besides the
    folder."""

    NAME: str
    OPTIONS: tuple[str, ...]

    def read(self, settings: ManifestSettings) -> Corpus:
        """The corpus in the folder, or the table, `settings.source`.

        Raises DataError where that is not the corpus.
        """


CORPORA = Registry("corpus", "avaffect.corpora")
for _name in (
    "emodb", "ravdess", "cremad", "msp-improv", "msp-podcast", "iemocap", "recola", "sewa",
    "semaine", "aff-wild2", "first-impressions", "ndc-me", "voxceleb2", "lrw", "lrs3", "grid",
    "video2gif", "phd-gifs", "speech-commands", "savee", "tess", "meld", "cmu-mosei", "emobox",
    "folder", "table",
):  # fmt: skip
    CORPORA.register(_name, None, f"{__name__}.{_name.replace('-', '_')}")
# Lists of other programs, which `export` writes too.
for _name in FORMATS:
    CORPORA.register(_name, None, f"avaffect.data.exchange.{_name}")


def adapter(corpus: str) -> Adapter:
    """The adapter of a corpus, imported now. Raises UsageError where there is none."""
    return CORPORA[corpus].load()


def read(settings: ManifestSettings) -> Corpus:
    """The corpus of the settings.

    Raises UsageError for an unknown corpus or an option that it does not read, DataError where the
    folder or the table is not the corpus.
    """
    found = adapter(settings.corpus)
    for option in _particular():
        given = getattr(settings, option)
        if option == "map":
            # Maps by name are for all corpora.
            given = tuple(text for text in given if "=" in text)
        if option not in found.OPTIONS and given not in (None, (), False):
            flag = "--" + option.removesuffix("_column").replace("_", "-")
            raise UsageError(f"{flag} does not apply to {settings.corpus}; leave it out")
    if settings.source == STANDARD_INPUT and settings.corpus != "table":
        raise UsageError(
            f"{settings.corpus} -: standard input is read of `table` alone; name a folder or file"
        )
    maps = label_maps.names(settings.map)
    corpus = found.read(settings)
    for name in maps:
        label_maps.apply(corpus, name)
    return corpus


def _particular() -> list[str]:
    """Options of `manifest` that some corpora read."""
    shared = {field.name for field in fields(Common)} | {"corpus", "source", "strict"}
    return sorted({field.name for field in fields(ManifestSettings)} - shared)
