"""Encoding the words of utterances in `extract-text`, started only if there is work to do."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.launch import part_of
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance
from avaffect.core.streams import MEAN
from avaffect.core.writing import writing
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import PooledSpec
from avaffect.data.store.writer import store_writer
from avaffect.data.transcripts.reading import Transcripts
from avaffect.recipes.common.copied_metadata import Carried
from avaffect.recipes.common.training_run import Work
from avaffect.recipes.encoding import spoken
from avaffect.settings.extract_text import ExtractTextSettings
from avaffect.training import text_encoder
from avaffect.training.device import resolve_device
from avaffect.training.text_encoder import TextEncoder

# Texts are sorted by length among so many batches of them, of which a shard encodes its own.
WINDOW_BATCHES = 64
# Field of an utterance: how many words it has.
WORDS = "words"


def run(
    settings: ExtractTextSettings,
    store: Store,
    transcripts: Transcripts,
    model: str,
    made: Provenance,
    progress: Progress,
    work: Work,
) -> None:
    """Write a store with the vector of each utterance's words, zeros where it has none.

    model: content id of the text encoder; work: keeps the vectors. Raises DataError as
    `spoken.words_of` and `text_encoder.load` do.
    """
    assert settings.around is not None
    found = spoken.words_of(store, transcripts, settings.around, progress)
    rows = part_of(settings.shard, range(store.count))
    numbers = found.texts[np.array(rows, dtype=np.int64)]
    wanted = np.unique(numbers[numbers >= 0])
    encoder = text_encoder.load(settings.model, resolve_device(settings.device), settings.precision)
    made_of = {"text_encoder": {"content_id": model}, "around": settings.around}
    with (
        writing(settings.output),
        store_writer(
            settings.output,
            made,
            labels=store.labels,
            pooled={MEAN: PooledSpec(encoder.dim, made_of)},
        ) as writer,
        # Without a name, so that nothing is left of a run that is killed.
        tempfile.TemporaryFile(dir=settings.output.parent) as spool,
    ):
        vectors = _Vectors(spool, encoder.dim)
        encoded, truncated = _encode(
            encoder, found.distinct, wanted, settings, vectors, progress, work
        )
        carried = Carried(store)
        counts = [text.count(" ") + 1 for text in found.distinct]
        for row, number in zip(rows, numbers.tolist()):
            words = 0 if number < 0 else counts[number]
            carried.add(writer, row, {"pooled": {MEAN: vectors.read(number)}}, {WORDS: words})
    silent = int((numbers < 0).sum())
    if silent:
        progress.warn(
            f"{silent} of {count_of(len(rows), 'utterance has', 'utterances have')} no words: "
            "their vectors are zeros, which finetune and predict take for missing"
        )
    if truncated:
        progress.warn(
            f"{truncated} of {count_of(encoded, 'encoded text is', 'encoded texts are')} longer "
            f"than the {encoder.limit} tokens that the text encoder reads, and were truncated"
        )
    progress.say(
        f"{settings.output}: {count_of(len(rows), 'utterance')}, "
        f"{count_of(len(wanted), 'different text')}"
    )


@dataclass
class _Vectors:
    """Rows of float32 in a file: of all texts they may not fit in memory."""

    file: BinaryIO
    dim: int

    def __post_init__(self) -> None:
        self._place: dict[int, int] = {}
        self._last: tuple[int, np.ndarray] = -1, np.zeros(self.dim, dtype=np.float32)

    def write(self, numbers: list[int], rows: np.ndarray) -> None:
        """Add the rows (K, dim) of texts."""
        for number in numbers:
            self._place[number] = len(self._place)
        self.file.write(np.ascontiguousarray(rows, dtype=np.float32).tobytes())

    def read(self, number: int) -> np.ndarray:
        """(dim,) of a text; zeros of -1."""
        if number < 0:
            return np.zeros(self.dim, dtype=np.float32)
        if number != self._last[0]:
            self.file.seek(self._place[number] * self.dim * 4)
            row = np.frombuffer(self.file.read(self.dim * 4), dtype=np.float32)
            self._last = number, row
        return self._last[1]


def _encode(
    encoder: TextEncoder,
    texts: list[str],
    wanted: np.ndarray,
    settings: ExtractTextSettings,
    vectors: _Vectors,
    progress: Progress,
    work: Work,
) -> tuple[int, int]:
    """Encode the wanted texts (numbers) once, with what shares a batch with them; how many were
    encoded, and of them truncated.

    Raises DataError where the encoder gives values that are no numbers.
    """

    def computed(numbers: np.ndarray) -> list[np.ndarray]:
        rows, cut = encoder.encode([texts[number] for number in numbers.tolist()])
        if not bool(np.isfinite(rows.numpy()).all()):
            raise DataError(
                f"{settings.model} gives values that are no numbers (NaN or infinite); try "
                "--precision 32, and check its weights"
            )
        # How many of the batch were truncated is kept with its first row.
        counts = np.zeros((len(rows), 1), dtype=np.float32)
        counts[0] = cut
        return list(np.concatenate([rows.numpy(), counts], axis=1, dtype=np.float32)[:, None])

    encoded = truncated = 0
    is_wanted = np.zeros(len(texts), dtype=bool)
    is_wanted[wanted] = True
    kept = work.rows("texts", progress)
    with progress.task("texts", len(wanted)):
        for numbers in _batches(texts, settings.batch_texts):
            if not is_wanted[numbers].any():
                continue
            progress.check()
            asked = np.array(numbers)
            found = computed(asked) if kept is None else kept.of(asked, computed)
            rows = np.concatenate(found)
            vectors.write(numbers, rows[:, :-1])
            encoded, truncated = encoded + len(rows), truncated + int(rows[:, -1].sum())
            progress.advance(int(is_wanted[numbers].sum()))
    if kept is not None:
        kept.close()
    return encoded, truncated


def _batches(texts: list[str], most: int) -> Iterator[list[int]]:
    """Numbers of texts of about the same length among neighbours, the longest first: lack of memory
    shows at once."""
    window = most * WINDOW_BATCHES
    for first in range(0, len(texts), window):
        neighbours = range(first, min(first + window, len(texts)))
        order = sorted(neighbours, key=lambda number: (-len(texts[number]), texts[number]))
        for start in range(0, len(order), most):
            yield order[start : start + most]
