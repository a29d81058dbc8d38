"""Utterances of one or more stores as batches of padded NumPy arrays.

Datasets crop in time only; objectives make random views.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from avaffect.core import seeds
from avaffect.core.batch import Batch
from avaffect.core.errors import DataError
from avaffect.core.near import meant
from avaffect.core.sampling import EVERYTHING, Sampling
from avaffect.core.streams import FACE, SAMPLE_RATE_HZ, WAVEFORM
from avaffect.data.distinct import check_distinct
from avaffect.data.store.reader import Store
from avaffect.data.traces import Traces

# Crops start on this grid, on which steps at 16 kHz, 100, 50 and 25 Hz coincide.
CROP_GRID_S = 0.04
# What an utterance counts for in batches where there is nothing but a vector of it.
VECTOR_S = 1.0


@dataclass
class Column:
    """The place of one stream of each utterance: stores[store_of[i]], row row_of[i]; -1: missing.

    held_as: name of the stream in the stores, if it differs from that of the column.
    """

    stores: list[Store]
    store_of: np.ndarray
    row_of: np.ndarray
    rate_hz: float
    held_as: str | None = None

    def steps(self, name: str) -> np.ndarray:
        """(N,) int64 steps of the stream `name`, 0 if it is missing."""
        found = np.zeros(len(self.store_of), dtype=np.int64)
        for index, store in enumerate(self.stores):
            mine = self.store_of == index
            found[mine] = store.lengths(self.held_as or name)[self.row_of[mine]]
        return found

    def read(self, name: str, index: int, part: slice | None = None) -> np.ndarray:
        """The steps `part` of one utterance, or all, (T, ...); a view if the store is mapped."""
        name = self.held_as or name
        if self.store_of[index] < 0:
            spec = self.stores[0].streams[name]
            return np.zeros((0, *spec.shape), dtype=spec.dtype)
        return self.stores[self.store_of[index]].read(name, self.row_of[index], part)

    def check_numbers(
        self, indices: np.ndarray, pieces: Sequence[np.ndarray], stacked: np.ndarray
    ) -> None:
        """Raise DataError for values that are not finite, which another program may have
        written."""
        if stacked.dtype.kind != "f" or np.isfinite(stacked).all():
            return
        wrong = next(i for i, p in zip(indices, pieces) if not np.isfinite(p).all())
        store, row = self.stores[self.store_of[wrong]], self.row_of[wrong]
        raise DataError(
            f"{store.path}: {self.held_as} of {store.ids[row]} holds values that are not finite "
            "numbers; leave the utterance out, or compute its features again"
        )


@dataclass
class VectorColumn(Column):
    """The place of one vector of each utterance, a stream of one step without a rate (0).

    held_as: name of the pooled vectors in the stores.
    """

    def steps(self, name: str) -> np.ndarray:
        return (self.store_of >= 0).astype(np.int64)

    def read(self, name: str, index: int, part: slice | None = None) -> np.ndarray:
        name = self.held_as or name
        if self.store_of[index] < 0:
            return np.zeros((0, self.stores[0].pooled[name].dim), dtype=np.float32)
        row = self.row_of[index]
        return self.stores[self.store_of[index]].pooled_vectors(name)[row : row + 1]

    def rows(self, indices: np.ndarray) -> np.ndarray:
        """(n, D) float32 of the utterances of `indices` (n,), copied; zeros where it is missing."""
        name = self.held_as
        assert name is not None
        found = np.zeros((len(indices), self.stores[0].pooled[name].dim), dtype=np.float32)
        for number, store in enumerate(self.stores):
            mine = self.store_of[indices] == number
            found[mine] = store.pooled_vectors(name)[self.row_of[indices[mine]]]
        return found


@dataclass
class AbsentColumn(VectorColumn):
    """A stream that every utterance lacks. step: the shape of one of its steps."""

    step: tuple[int, ...] = ()

    def read(self, name: str, index: int, part: slice | None = None) -> np.ndarray:
        return np.zeros((0, *self.step), dtype=np.float32)


@dataclass
class Dataset:
    """N utterances whose streams may be in different stores (media in one, units in another).

    ids: N strings, unique; columns: stream name -> Column; labels: name -> (N,) or (N, C) arrays;
    traces: name -> traces without raters, cropped like the streams;
    crop_s: length of the crop of longer utterances, at a place drawn from (seed, epoch, id); None:
    no crops, but the middle section if `sampling` has a length.
    sampling: what the encoder reads of an utterance.
    starts_s: (N,) where each crop starts instead; what the encoder reads is then its middle.
    view: number of a view, from 0, and of how many, where `sampling` reads a part and nothing is
    drawn: sections evenly apart from the first to the last, and the steps at other places within
    their equal parts; of one, the middle of both.
    chosen: (N,) bool, the utterances of a shard, the only ones that models are applied to; None:
    all. The others are there for the batches: with other batch-mates the last digits differ.
    """

    ids: list[str]
    columns: dict[str, Column]
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    crop_s: float | None = None
    seed: int = 0
    traces: dict[str, Traces] = field(default_factory=dict)
    sampling: Sampling = EVERYTHING
    starts_s: np.ndarray | None = None
    view: tuple[int, int] = (0, 1)
    chosen: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def choose(self, rows: Sequence[int]) -> None:
        """Models are applied to these rows alone."""
        self.chosen = np.zeros(len(self), dtype=bool)
        self.chosen[list(rows)] = True

    @property
    def is_chosen(self) -> np.ndarray:
        """(N,) bool: the utterances that models are applied to."""
        return np.ones(len(self), dtype=bool) if self.chosen is None else self.chosen

    def steps(self, stream: str) -> np.ndarray:
        """(N,) int64 steps of a stream, 0 if it is missing."""
        return self.columns[stream].steps(stream)

    def steps_in_sections(self, stream: str) -> np.ndarray:
        """(N,) int64 steps of a stream in the crops that `starts_s` begins; all without it."""
        steps, column, longest = self.steps(stream), self.columns[stream], self._longest_s
        if self.starts_s is None or longest is None or isinstance(column, VectorColumn):
            return steps
        starts = (self._crop_start(index, 0) for index in range(len(self)))
        passed = np.array([round(start * column.rate_hz) for start in starts], dtype=np.int64)
        return np.clip(steps - passed, 0, round(longest * column.rate_hz))

    def durations(self) -> np.ndarray:
        """(N,) seconds of the longest stream of each utterance, before cropping; VECTOR_S where
        there is a vector alone."""
        found = np.zeros(len(self.ids))
        alone = np.zeros(len(self.ids), dtype=bool)
        for name, column in self.columns.items():
            if isinstance(column, VectorColumn):
                alone |= self.steps(name) > 0
            else:
                np.maximum(found, self.steps(name) / column.rate_hz, out=found)
        return np.where(alone & (found == 0), VECTOR_S, found)

    def batch_durations(self) -> np.ndarray:
        """(N,) seconds of each utterance in a batch, after cropping."""
        durations, longest = self.durations(), self._longest_s
        return durations if longest is None else np.minimum(durations, longest)

    @property
    def _longest_s(self) -> float | None:
        """Seconds of an utterance that are read at most."""
        limits = [s for s in (self.crop_s, self.sampling.seconds) if s is not None]
        return min(limits, default=None)

    def read(
        self, stream: str, index: int, start_s: float = 0.0,
        random: np.random.Generator | None = None,
    ) -> np.ndarray:  # fmt: skip
        """One utterance's stream from `start_s` on, cropped; a view if the store is mapped. random:
        draws the steps, where `sampling` picks some."""
        column, most = self.columns[stream], self.sampling.steps.get(stream)
        values = column.read(stream, index, self._crop(column.rate_hz, start_s))
        if isinstance(column, VectorColumn):
            return values
        if most is None or len(values) <= most:
            return values
        # A step of each of so many equal parts: a random one, or that of this view.
        number, count = self.view
        within = np.full(most, (number + 0.5) / count) if random is None else random.random(most)
        return values[np.floor((np.arange(most) + within) * len(values) / most).astype(np.int64)]

    def _crop(self, rate_hz: float, start_s: float) -> slice | None:
        """The steps that are read; None: all."""
        longest = self._longest_s
        if longest is None:
            return None
        start = round(start_s * rate_hz)
        return slice(start, start + round(longest * rate_hz))

    def batch(self, indices: np.ndarray | Sequence[int], epoch: int = 0) -> Batch:
        """The utterances of `indices`, each stream padded with zeros, each trace with NaN, to its
        longest."""
        starts = [self._crop_start(int(i), epoch) for i in indices]
        # Training alone has crops without a given start.
        drawn = self.sampling.drawn and self.crop_s is not None and self.starts_s is None
        return self.batch_from(indices, starts, epoch if drawn else None)

    def batch_from(
        self, indices: np.ndarray | Sequence[int], starts: np.ndarray | Sequence[float],
        drawn: int | None = None,
    ) -> Batch:  # fmt: skip
        """As `batch`, with a start in seconds for each utterance. drawn: the epoch for which steps
        are drawn of streams of which `sampling` picks some; None: none are."""
        indices = np.asarray(indices)
        batch = Batch(ids=[self.ids[index] for index in indices])
        for name, column in self.columns.items():
            pieces = [
                self.read(name, int(i), s, self._steps_draw(name, int(i), drawn))
                for i, s in zip(indices, starts)
            ]
            lengths = np.array([len(piece) for piece in pieces], dtype=np.int64)
            batch.streams[name] = _stack(pieces, 0)
            if column.held_as is not None:
                column.check_numbers(indices, pieces, batch.streams[name])
            batch.lengths[name] = lengths
            batch.present[name] = lengths > 0
            batch.rates[name] = 0.0 if name in self.sampling.steps else column.rate_hz
        batch.labels = {name: values[indices] for name, values in self.labels.items()}
        for name, traces in self.traces.items():
            batch.labels[name] = _stack(
                [
                    traces.values[index][self._crop(traces.rate_hz, start) or slice(None)]
                    for index, start in zip(indices, starts)
                ],
                np.nan,
            )
        return batch

    def subset(self, indices: np.ndarray) -> Dataset:
        """The utterances of `indices`, in that order."""
        return Dataset(
            ids=[self.ids[index] for index in indices],
            columns={
                name: replace(c, store_of=c.store_of[indices], row_of=c.row_of[indices])
                for name, c in self.columns.items()
            },
            labels={name: values[indices] for name, values in self.labels.items()},
            crop_s=self.crop_s,
            seed=self.seed,
            traces={
                name: replace(traces, values=[traces.values[index] for index in indices])
                for name, traces in self.traces.items()
            },
            sampling=self.sampling,
            starts_s=None if self.starts_s is None else self.starts_s[indices],
            view=self.view,
            chosen=None if self.chosen is None else self.chosen[indices],
        )

    def _crop_start(self, index: int, epoch: int) -> float:
        longest = self._longest_s
        if longest is None:
            return 0.0
        if self.starts_s is not None:
            start = float(self.starts_s[index])
            # An utterance may end before its crop does.
            there = min(self.crop_s or longest, self._durations_once()[index] - start)
            return start + max(0.0, there - longest) * self._place
        spare = int((self._durations_once()[index] - longest) / CROP_GRID_S)
        if spare <= 0:
            return 0.0
        if self.crop_s is None:
            return int(spare * self._place) * CROP_GRID_S
        draw = seeds.generator(self.seed, "crop", epoch, self.ids[index])
        return float(draw.integers(0, spare + 1)) * CROP_GRID_S

    @property
    def _place(self) -> float:
        """Of the section of this view, between the first (0) and the last (1)."""
        number, count = self.view
        return 0.5 if count == 1 else number / (count - 1)

    def _steps_draw(self, stream: str, index: int, epoch: int | None) -> np.random.Generator | None:
        if epoch is None or stream not in self.sampling.steps:
            return None
        return seeds.generator(self.seed, "steps", stream, epoch, self.ids[index])

    def _durations_once(self) -> np.ndarray:
        if not hasattr(self, "_durations"):
            self._durations = self.durations()
        return self._durations


def absent_column(count: int, step: tuple[int, ...], rate_hz: float) -> AbsentColumn:
    """A stream that none of `count` utterances has; rate_hz: 0 of vectors."""
    missing = np.full(count, -1, dtype=np.int64)
    return AbsentColumn([], missing, missing, rate_hz, step=step)


def _stack(pieces: Sequence[np.ndarray], padding: float) -> np.ndarray:
    """Arrays (T, ...) stacked to (B, longest, ...), padded at the end."""
    longest = max((len(piece) for piece in pieces), default=0)
    shape = (len(pieces), longest, *pieces[0].shape[1:])
    stacked = np.zeros(shape, dtype=pieces[0].dtype)
    if padding:
        stacked[:] = padding
    for row, piece in enumerate(pieces):
        stacked[row, : len(piece)] = piece
    return stacked


def column_of(stores: Sequence[Store], ids: Sequence[str], stream: str) -> Column:
    """Look `ids` up in the stores that have `stream`; it is missing for ids in none of them.

    Raises DataError if no store has the stream, or rates or shapes of two differ.
    """
    held_streams(stores, [stream])
    holders = [store for store in stores if stream in store.streams]
    # An empty stream does not determine rate and shape.
    holders = [store for store in holders if store.lengths(stream).any()] or holders[:1]
    for store in holders:
        _check_waveform(store, stream)
    kinds = {_kind_of_step(store, stream): store for store in holders}
    if len(kinds) > 1:
        words = " and ".join(f"{store.path} ({kind})" for kind, store in kinds.items())
        raise DataError(f"different kinds of {stream!r} cannot be mixed: {words}")
    store_of = np.full(len(ids), -1, dtype=np.int64)
    row_of = np.full(len(ids), -1, dtype=np.int64)
    for number, store in enumerate(holders):
        rows = np.array([store.rows.get(identifier, -1) for identifier in ids], dtype=np.int64)
        found = (rows >= 0) & (store_of < 0)
        store_of[found] = number
        row_of[found] = rows[found]
    return Column(holders, store_of, row_of, holders[0].streams[stream].rate_hz)


def held_streams(stores: Sequence[Store], wanted: Sequence[str]) -> tuple[str, ...]:
    """The wanted streams that some store has; DataError if there is none."""
    held = tuple(name for name in wanted if any(name in store.streams for store in stores))
    if not held:
        names = ", ".join(str(store.path) for store in stores)
        made_by = "preprocess" if {WAVEFORM, FACE} & set(wanted) else "extract"
        streams = " or ".join(repr(name) for name in wanted)
        there = list(dict.fromkeys(name for store in stores for name in store.streams))
        raise DataError(
            f"no stream {streams} in {names} (there: {', '.join(there) or 'none'}); "
            f"make it with `avaffect {made_by}`{meant(wanted[0], there)}"
        )
    return held


def _kind_of_step(store: Store, stream: str) -> str:
    spec = store.streams[stream]
    return "x".join(map(str, (*spec.shape, spec.dtype))) + f" at {spec.rate_hz:g} Hz"


def _check_waveform(store: Store, stream: str) -> None:
    """Check for 16 kHz, the rate of every encoder: results at another rate would be wrong.

    Samples are int16 or, in stores of other programs, float32 with full scale at 1.0.
    """
    if stream != WAVEFORM:
        return
    spec = store.streams[stream]
    if (spec.rate_hz, spec.shape) != (SAMPLE_RATE_HZ, ()) or spec.dtype not in ("int16", "float32"):
        raise DataError(
            f"{store.path}: its waveform is {spec.dtype} at {spec.rate_hz:g} Hz; expected 16-bit "
            f"mono at {SAMPLE_RATE_HZ} Hz, as made by `avaffect preprocess`"
        )


def dataset_of(
    stores: Sequence[Store],
    ids: Sequence[str],
    streams: Sequence[str],
    *,
    others: Sequence[Store] = (),
    labels: dict[str, np.ndarray] | None = None,
    crop_s: float | None = None,
    seed: int = 0,
    sampling: Sampling = EVERYTHING,
) -> Dataset:
    """The utterances `ids`, with `streams` from `stores`, otherwise from `others` (units)."""
    everywhere = [*stores, *others]
    columns = {name: column_of(everywhere, ids, name) for name in streams}
    return Dataset(list(ids), columns, dict(labels or {}), crop_s, seed, sampling=sampling)


def unique_ids(stores: Sequence[Store]) -> list[str]:
    """The ids of all stores in order; DataError, with both stores, if two have the same id."""
    check_distinct(stores)
    return [identifier for store in stores for identifier in store.ids]
