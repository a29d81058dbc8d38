"""`gallery`: queries with their retrieved clips, as a picture."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avaffect.core import plain_json, png, seeds
from avaffect.core.errors import DataError, UsageError
from avaffect.core.hashing import canonical_json
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import Provenance, identity, provenance, reference
from avaffect.core.streams import FACE, FACE_TRACK, SAMPLE_RATE_HZ, WAVEFORM
from avaffect.data import manifest
from avaffect.data.faces.options import ABSENT, COLUMNS, DETECTED, TRACKED
from avaffect.data.manifest import Item, Manifest
from avaffect.data.store.reader import Store
from avaffect.recipes.common import publishing, work
from avaffect.recipes.common.lineage import embedding_stores, media_of
from avaffect.recipes.scoring import gold_labels
from avaffect.recipes.scoring.retrieval_scores import queried_classes
from avaffect.recipes.scoring.vote_scores import true_classes
from avaffect.settings.base import semantic
from avaffect.settings.class_map import ClassMap
from avaffect.settings.gallery import GallerySettings

# OpenCV is imported once the inputs are known to be right.
if TYPE_CHECKING:
    from avaffect.data.pictures import Colour, Tile

AGREES: Colour = (30, 150, 70)
DIFFERS: Colour = (205, 50, 45)
QUERY: Colour = (70, 100, 200)
# Of a face_track's columns, the one that says where a frame's face came from.
SOURCE_COLUMN = COLUMNS.index("source")
MOST_TILES = 4096
# Width of a spectrogram in tiles where no face is shown.
SOUND_TILES = 2

# Id -> gold class, None where it is missing.
Classes = dict[str, str | None]


@dataclass(frozen=True)
class Shown:
    """One retrieved utterance; label: its true one, None where it is not known."""

    identifier: str
    similarity: float | None
    label: str | None


@dataclass(frozen=True)
class Cell:
    """What is shown of an utterance: a picture of its face, or else its waveform (S,), if any."""

    caption: str
    colour: Colour | None
    face: np.ndarray | None = None
    sound: np.ndarray | None = None


def make_gallery(settings: GallerySettings, progress: Progress = SILENT) -> None:
    """Draw a retrieval manifest's queries and what was retrieved for them.

    Raises UsageError for impossible counts or an output that is no .png, DataError where the
    manifest is none of retrieval or a store behind it is missing, OutputExistsError where the
    output is there and looks otherwise.
    """
    _check(settings)
    found = manifest.read(settings.retrieval, expect="retrieval")
    if not found.items:
        raise DataError(f"{found.name} has no query: there is nothing to draw")
    made = _provenance(settings, found)

    @cache
    def drawing() -> tuple[np.ndarray, str]:
        return _draw(settings, found, progress)

    def is_same(path: Path) -> bool:
        """By what the picture says of itself, or else by what it shows: the same may be drawn from
        other inputs, and pictures of version 0.1 say nothing."""
        words = png.read_text(path, png.MADE)
        if words is not None and identity(plain_json.parse(words)) == identity(made):
            return True
        from avaffect.data import pictures

        return pictures.is_picture(path, drawing()[0])

    if publishing.is_current(settings, made, progress, is_same=is_same, differs="looks otherwise"):
        return
    picture, summary = drawing()
    if publishing.is_dry(settings, progress, f"draw {summary}"):
        return
    from avaffect.data import pictures

    pictures.write_png(settings.output, picture, canonical_json(made))
    progress.say(f"{settings.output}: {summary}")


def _draw(settings: GallerySettings, found: Manifest, progress: Progress) -> tuple[np.ndarray, str]:
    """The picture, (H, W, 3) RGB uint8, and what it shows in words."""
    stores = {role: embedding_stores(found, role) for role in ("query", "pool")}
    media = {role: media_of(stores[role]) for role in stores}
    gold = _gold(found, settings, stores["pool"])
    classes = queried_classes(found)
    items = choose_queries(found.items, settings.queries, settings.seed)
    rows = []
    compared: list[bool] = []
    for item in items:
        shown = _retrieved(found, item, gold, settings.retrieved)
        cells = [_cell(found, media["query"], item["query"], "", QUERY)]
        for utterance in shown:
            own, other = (classes.renamed(n) or n for n in (utterance.label, item.get("label")))
            agrees = own and own == other
            colour = None if utterance.label is None else AGREES if agrees else DIFFERS
            compared += [bool(agrees)] if colour is not None else []
            caption = _caption(utterance)
            cells.append(_cell(found, media["pool"], utterance.identifier, caption, colour))
        rows.append(cells)
    if settings.gold and not compared:
        names = ", ".join(str(path) for path in settings.gold)
        progress.warn(f"{names} has no label of the retrieved utterances: frames have no colour")
    titles = [f"{item.get('label') or 'no label'}\n{item['query']}" for item in items]
    picture = _sheet(rows, titles, settings.tile, _heading(found, bool(compared)))
    agreeing = f"; {sum(compared)} of {len(compared)} bear their query's label" if compared else ""
    summary = f"{len(items)} queries, {sum(map(len, rows)) - len(rows)} retrieved{agreeing}"
    return picture, summary


def choose_queries(items: list[Item], count: int, seed: int) -> list[Item]:
    """`count` of the items, as evenly over their labels as can be, in the order of labels."""
    by_label: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        by_label[str(item.get("label") or "")].append(item)
    labels = gold_labels.in_order(by_label)
    shuffled = {
        label: [
            by_label[label][place]
            for place in seeds.generator(seed, "gallery", label).permutation(len(by_label[label]))
        ]
        for label in labels
    }
    longest = max(map(len, by_label.values()), default=0)
    turns = [
        (turn, label) for turn in range(longest) for label in labels if turn < len(shuffled[label])
    ][:count]
    return [
        shuffled[label][turn] for turn, label in sorted(turns, key=lambda t: labels.index(t[1]))
    ]


def middle_frame(faces: np.ndarray, track: np.ndarray | None) -> np.ndarray | None:
    """Of faces (T, H, W, C) the one nearest to the middle that is there; None where none is.

    track (T, 16): the face_track of the same frames, where it is known.
    """
    there = np.arange(len(faces))
    if track is not None and len(track) == len(faces):
        source = track[:, SOURCE_COLUMN]
        # Where a box was only interpolated, the face may have been hidden.
        seen = np.flatnonzero((source == DETECTED) | (source == TRACKED))
        there = seen if len(seen) else np.flatnonzero(source != ABSENT)
    if not len(there):
        return None
    return faces[there[np.argmin(np.abs(there - (len(faces) - 1) / 2))]]


def _check(settings: GallerySettings) -> None:
    if settings.queries * (settings.retrieved + 1) > MOST_TILES:
        raise UsageError(f"more than {MOST_TILES} faces do not fit a picture; ask for "
                         "fewer --queries or --retrieved")  # fmt: skip
    if settings.output.suffix.lower() != ".png":
        raise UsageError(f"{settings.output}: a gallery is a PNG picture; name it .png")


def _gold(found: Manifest, settings: GallerySettings, pool: list[Store]) -> Classes:
    """The pool's labels: those given, else those that came along into its embeddings, if any."""
    label = settings.label or found.header.made_with.label
    label = label or gold_labels.DEFAULT_LABEL
    if settings.gold:
        return true_classes(gold_labels.read(settings.gold, label), ClassMap())
    known = [s.path for s in pool if label in s.labels and s.labels[label].kind == "class"]
    if settings.label is not None and not known:
        raise DataError(f"{pool[0].path} has no label {label!r}; name GOLD that has with --gold")
    return true_classes(gold_labels.read(known, label), ClassMap())


def _retrieved(found: Manifest, item: Item, gold: Classes, count: int) -> list[Shown]:
    """The first `count` different utterances that were drawn for a query."""
    drawn, similarity = item.get("pool"), item.get("similarity")
    if not isinstance(drawn, list) or not isinstance(item.get("query"), str):
        raise DataError(f"{found.name}: the query {item.get('query')} has no list of draws")
    if not isinstance(similarity, list) or len(similarity) != len(drawn):
        similarity = [None] * len(drawn)
    first = dict(zip(reversed(drawn), reversed(similarity)))
    return [Shown(name, first[name], gold.get(name)) for name in dict.fromkeys(drawn)][:count]


def _caption(utterance: Shown) -> str:
    similarity = "" if utterance.similarity is None else f"{utterance.similarity:.2f}"
    return f"{' '.join(filter(None, (similarity, utterance.label)))}\n{utterance.identifier}"


def _sheet(rows: list[list[Cell]], titles: list[str], tile: int, heading: str) -> np.ndarray:
    """Faces are square. Sounds are as wide beside them, and wider where there is no face."""
    from avaffect.data import pictures

    def drawn(cell: Cell, picture: np.ndarray | None) -> Tile:
        return pictures.Tile(picture, cell.caption, cell.colour)

    sounds = [cell.sound for row in rows for cell in row if cell.sound is not None]
    if not sounds:
        return pictures.sheet(
            [[drawn(cell, cell.face) for cell in row] for row in rows], titles, tile=tile,
            heading=heading,
        )  # fmt: skip
    from avaffect.data.spectrograms import key, scale_of, spectrogram

    width = tile if any(c.face is not None for row in rows for c in row) else SOUND_TILES * tile
    seconds = scale_of([len(sound) / SAMPLE_RATE_HZ for sound in sounds])

    def shown(cell: Cell) -> Tile:
        if cell.sound is None:
            return drawn(cell, cell.face)
        return drawn(cell, spectrogram(*mel_levels(cell.sound, seconds), seconds, tile, width))

    tiles = [[shown(cell) for cell in row] for row in rows]
    return pictures.sheet(tiles, titles, tile=tile, width=width, heading=heading, key=key())


def mel_levels(sound: np.ndarray, seconds: float) -> tuple[np.ndarray, float]:
    """Log-mel spectrum (T, 80) of the first seconds of samples (S,), and its rate in Hz."""
    import torch

    from avaffect.signal.features import FEATURE_RATE_HZ, log_mel

    # A copy, as mapped stores are read-only, and torch warns of it.
    beginning = np.array(sound[: round(seconds * SAMPLE_RATE_HZ)])
    return log_mel(torch.from_numpy(beginning)).numpy(), FEATURE_RATE_HZ


def _cell(
    found: Manifest, media: list[Store], identifier: str, caption: str, colour: Colour | None
) -> Cell:
    store = next((store for store in media if identifier in store.rows), None)
    if store is None:
        names = ", ".join(str(store.path) for store in media)
        raise DataError(f"{found.name} names {identifier}, which is not in {names}")
    row = store.rows[identifier]
    if FACE in store.streams:
        track = store.read(FACE_TRACK, row) if FACE_TRACK in store.streams else None
        frame = middle_frame(store.read(FACE, row), track)
        if frame is not None:
            return Cell(caption, colour, face=frame)
    if WAVEFORM in store.streams and store.lengths(WAVEFORM)[row]:
        sound = store.read(WAVEFORM, row)
        first, _, rest = caption.partition("\n")
        told = ", ".join(filter(None, (first, f"{len(sound) / SAMPLE_RATE_HZ:.1f} s")))
        return Cell("\n".join(filter(None, (told, rest))), colour, sound=sound)
    return Cell(caption, colour)


def _heading(found: Manifest, compared: bool) -> str:
    temperature = found.header.made_with.temperature
    drawn = "" if temperature is None else f" at T = {temperature:g}"
    frames = ". Frames: green, the query's label; red, another" if compared else ""
    return f"Queries (blue) and what was retrieved for them{drawn}{frames}"


def _provenance(settings: GallerySettings, found: Manifest) -> Provenance:
    retrieval = work.manifest_input("retrieval", found, settings.output)
    gold = [reference(*given, settings.output) for given in work.file_inputs("gold", settings.gold)]
    return provenance("gallery", semantic(settings), [retrieval, *gold])
