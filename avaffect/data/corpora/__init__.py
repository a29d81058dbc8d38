"""Corpus adapters: each turns a folder or a table into items of one spelling; one file each.

An adapter is a module with its NAME, the OPTIONS of `manifest` that it reads besides the folder,
and read(settings) -> Corpus.
"""

from __future__ import annotations

from avaffect.core.errors import UsageError
from avaffect.data.corpora import (
    aff_wild2,
    cremad,
    emodb,
    grid,
    iemocap,
    lrs3,
    lrw,
    msp_improv,
    ravdess,
    recola,
    semaine,
    sewa,
    speech_commands,
    table,
    voxceleb2,
)
from avaffect.data.corpora.common import Corpus
from avaffect.settings.manifest import ManifestSettings

ADAPTERS = {
    adapter.NAME: adapter
    for adapter in (
        emodb,
        ravdess,
        cremad,
        msp_improv,
        iemocap,
        recola,
        sewa,
        semaine,
        aff_wild2,
        voxceleb2,
        lrw,
        lrs3,
        grid,
        speech_commands,
        table,
    )
}


def read(settings: ManifestSettings) -> Corpus:
    """The corpus that `settings` name.

    Raises UsageError for an unknown corpus or an option that it does not read, DataError where
    the folder or the table is not what it should be.
    """
    adapter = ADAPTERS.get(settings.corpus)
    if adapter is None:
        raise UsageError(f"no corpus {settings.corpus!r}: there are {', '.join(ADAPTERS)}")
    for option in sorted({o for other in ADAPTERS.values() for o in other.OPTIONS}):
        if option not in adapter.OPTIONS and getattr(settings, option) not in (None, (), False):
            flag = "--" + option.removesuffix("_column").replace("_", "-")
            raise UsageError(f"{flag} means nothing for {settings.corpus}; leave it out")
    return adapter.read(settings)
