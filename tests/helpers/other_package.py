"""What another package adds to avaffect; `test_other_packages` gives it entry points."""

from __future__ import annotations

from pathlib import PurePosixPath
from types import SimpleNamespace

from torch import Tensor

from avaffect.data.corpora.common import Clip, Corpus, by_names
from avaffect.models.front_ends import FrontEnd
from avaffect.settings.manifest import ManifestSettings


def peaks(wave: Tensor) -> Tensor:
    """(S,) -> (T, 1): the largest sample of every 10 ms."""
    frames = wave[: len(wave) // 160 * 160].reshape(-1, 160)
    return frames.abs().float().amax(dim=1, keepdim=True)


PEAKS = FrontEnd(1, peaks)
LOUDEST = FrontEnd(1, lambda wave: peaks(wave).amax(dim=0, keepdim=True), over_time=False)


def read(settings: ManifestSettings) -> Corpus:
    labels = {"emotion": {"kind": "class", "classes": ["anger", "neutral"]}}
    corpus = Corpus("twins", settings.source, labels)
    return by_names(corpus, _clip, "anger-ann-1.wav", "the corpus of twins")


def _clip(path: PurePosixPath) -> Clip:
    emotion, speaker, _ = path.stem.split("-")
    item = {"speaker": speaker, "labels": {"emotion": emotion}}
    return Clip(path.stem, "audio", item)


TWINS = SimpleNamespace(NAME="twins", OPTIONS=(), read=read)
