"""Corpus adapters: each turns a folder or a table into items of one spelling; one file each."""

from __future__ import annotations

from avaffect.core.errors import UsageError
from avaffect.data.corpora import cremad, emodb, ravdess, table
from avaffect.data.corpora.common import Corpus
from avaffect.settings.manifest import ManifestSettings

NAMES = (emodb.NAME, ravdess.NAME, cremad.NAME, "table")
TABLE_OPTIONS = (
    "media_column", "video_column", "id_column", "speaker", "session", "split", "start", "end",
    "label", "scalar", "field", "map", "prefix", "no_check_media", "root",
)  # fmt: skip


def read(settings: ManifestSettings) -> Corpus:
    """The corpus that `settings` name.

    Raises UsageError for an unknown corpus or an option that it does not read, DataError where
    the folder or the table is not what it should be.
    """
    name = settings.corpus
    if name not in NAMES:
        raise UsageError(f"no corpus {name!r}: there are {', '.join(NAMES)}")
    if name == "table":
        _refuse(settings, ("tables",))
        return table.read(settings)
    if name == ravdess.NAME:
        _refuse(settings, (*TABLE_OPTIONS, "tables"))
        return ravdess.read(settings.source)
    _refuse(settings, TABLE_OPTIONS)
    adapter = emodb if name == emodb.NAME else cremad
    return adapter.read(settings.source, settings.tables)


def _refuse(settings: ManifestSettings, options: tuple[str, ...]) -> None:
    for option in options:
        if getattr(settings, option) not in (None, (), False):
            flag = "--" + option.removesuffix("_column").replace("_", "-")
            raise UsageError(f"{flag} means nothing for {settings.corpus}; leave it out")
