"""Highlights of videos: which segments the excerpts that users chose lie in.

SAAML, section 4.1: a video is cut into segments of five seconds, and a segment is a highlight where
a GIF overlaps it by at least 60 % (3 s).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from avaffect.data.corpora.common import Corpus, MediaFile, by_names, role_of

SEGMENT_S = 5.0
OVERLAP = 0.6
LABEL = "highlight"
# Times in tables are rounded.
SLACK_S = 1e-6
WITHOUT = f"no segment is a highlight: no GIF covers {OVERLAP:.0%} of one"


@dataclass
class Film:
    """duration_s: of the video; excerpts: start and end of each GIF in seconds; item: fields of its
    item."""

    duration_s: float
    excerpts: list[tuple[float, float]] = field(default_factory=list)
    item: dict[str, Any] = field(default_factory=dict)


def segment_labels(
    excerpts: Sequence[tuple[float, float]], duration_s: float,
    segment_s: float = SEGMENT_S, overlap: float = OVERLAP,
) -> list[int]:  # fmt: skip
    """1 for each segment that an excerpt (start, end) overlaps by the share `overlap` of a segment,
    else 0. A remainder at the end that is shorter than this share could not be one, and has no
    label."""
    least = overlap * segment_s - SLACK_S
    found: list[int] = []
    while duration_s - (start := len(found) * segment_s) >= least:
        stop = min(start + segment_s, duration_s)
        covered = [min(stop, end) - max(start, begin) for begin, end in excerpts]
        found.append(int(any(seconds >= least for seconds in covered)))
    return found


def add_films(corpus: Corpus, films: dict[str, Film], example: str, full_name: str) -> Corpus:
    """Fill the corpus with the videos of `films`, by the names of their files without suffix; those
    without a highlight are left out. Label: highlight, a trace with a value a segment. The speaker
    is the video."""
    corpus.labels[LABEL] = {"kind": "trace", "rate_hz": 1 / SEGMENT_S}
    by_names(corpus, partial(_parse, corpus.name, films), example, full_name)
    there = {item["film"] for item in corpus.items}
    there |= {PurePosixPath(name).stem for names in corpus.left_out.values() for name in names}
    for name in sorted(films.keys() - there):
        corpus.lost["listed, but the video is not there"].append(name)
    return corpus


def _parse(corpus: str, films: dict[str, Film], path: PurePosixPath) -> MediaFile | str:
    film = films.get(path.stem)
    if film is None:
        return "in no table"
    labels = segment_labels(film.excerpts, film.duration_s)
    if not any(labels):
        return WITHOUT
    item = {
        "speaker": f"{corpus}_{path.stem}", "labels": {LABEL: labels}, "film": path.stem,
        "gifs": len(film.excerpts), **film.item,
    }  # fmt: skip
    return MediaFile(path.stem, role_of(path), item)
