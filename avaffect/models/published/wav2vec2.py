"""wav2vec 2.0 (Baevski et al. 2020), whose encoder is built as HuBERT's."""

from __future__ import annotations

from avaffect.models.published import conversion, hubert
from avaffect.models.published.source import Converted, Source, Warn

TITLE = "wav2vec 2.0"


def recognise(source: Source) -> bool | None:
    """Recognised by its name in the settings or in the prefix of its weights."""
    there = conversion.located(source)
    if there is None or there.is_audiovisual:
        return False
    return "wav2vec" in source.model_type + there.layout.prefix or None


def convert(source: Source, warn: Warn) -> Converted:
    """Raises DataError where it is no whole wav2vec 2.0."""
    return conversion.convert(hubert.MODEL, source, warn)
