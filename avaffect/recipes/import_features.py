"""`import-features`: features that other tools computed, in a store as `extract` writes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.nouns import count_of
from avaffect.core.progress import SILENT, Progress
from avaffect.core.streams import FEATURES, FUNCTIONALS, MEAN
from avaffect.data import manifest_items
from avaffect.data.embeddings import EMBEDDING
from avaffect.data.feature_files import sources
from avaffect.data.feature_files.grid import TOO_FAR, UNEVEN, Rates, filled, grid_of
from avaffect.data.feature_files.layouts import Wanted
from avaffect.data.feature_files.rows import Rows
from avaffect.data.feature_files.sources import Opened
from avaffect.data.filtering import Condition
from avaffect.data.store.schema import PooledSpec, StreamSpec
from avaffect.data.store.writer import StoreWriter, store_writer
from avaffect.recipes.common import publishing, work
from avaffect.recipes.common.annotated import Annotated
from avaffect.settings.import_features import ImportFeaturesSettings

# More steps than this many times the rows: the times are no utterance's.
MOST_GAPS = 100
# Reasons for which utterances are left out.
MISSING_VALUES = "missing values"
NO_ROW = "no row meets --where"


def import_features(settings: ImportFeaturesSettings, progress: Progress = SILENT) -> None:
    """Read features of files and write them to a store, utterance by utterance.

    Raises DataError where files differ in their features, a value is missing or no number, ids come
    twice, or no id is annotated; UsageError where frames have neither times nor a rate.
    """
    where = tuple(Condition.parse(text) for text in settings.where)
    files = sources.find(settings.source, settings.files)
    inputs = [
        ("files", settings.source, files.content_id),
        *work.file_inputs("annotations", [settings.annotations], "corpus", "store"),
    ]
    made = work.record("import-features", settings, inputs)
    if publishing.is_current(settings, made, progress):
        return
    annotated = None if settings.annotations is None else Annotated.read(settings.annotations)
    labels = () if annotated is None else tuple(annotated.specs)
    wanted = Wanted(
        settings.columns, settings.exclude, settings.id_column, settings.time_column, where, labels
    )
    opened = sources.open_files(files, wanted, settings.sequences, settings.rate is not None)
    if publishing.is_dry(settings, progress, f"import {_words(opened)}"):
        return
    words: dict[str, Any] = {"imported": settings.name or opened.tool or ""}
    if opened.columns:
        words["columns"] = list(opened.columns)
    streams = {FEATURES: StreamSpec(FEATURES, "float32", 0.0, (opened.dim,), made=words)}
    pooled = EMBEDDING if settings.embedding else MEAN if opened.sequences else FUNCTIONALS
    with store_writer(
        settings.output,
        made,
        streams=streams if opened.sequences else {},
        labels={} if annotated is None else annotated.specs,
        pooled={pooled: PooledSpec(opened.dim, words)},
    ) as writer:
        importing = _Importing(settings, opened, annotated, writer, pooled)
        progress.start("import")
        for rows in opened.utterances():
            importing.add(rows)
            progress.advance()
        progress.finish()
        importing.end()
    _report(importing, progress)


def _words(opened: Opened) -> str:
    kind = "frames" if opened.sequences else "vectors"
    tool = f" of {opened.tool}" if opened.tool else ""
    return (
        f"{kind} of {count_of(opened.dim, 'feature')}{tool} from "
        f"{count_of(len(opened.files.found), 'file')}"
    )


@dataclass
class _Importing:
    """One run: checks, adds, counts.

    lost: reason -> names of utterances that are left out; unmet, missing: rows that were dropped
    for --where and for missing values; gaps: utterance -> frames that are missing; uneven: ids of
    utterances whose times are not even; by_recording: ids that were found by a recording's name;
    strange: names that nobody annotates; used: rows of the annotations.
    """

    settings: ImportFeaturesSettings
    opened: Opened
    annotated: Annotated | None
    writer: StoreWriter
    pooled: str
    found: int = 0
    rows: int = 0
    unmet: int = 0
    missing: int = 0
    rate_hz: float = 0.0
    rates: Rates = field(default_factory=Rates)
    lost: dict[str, list[str]] = field(default_factory=dict)
    gaps: dict[str, int] = field(default_factory=dict)
    uneven: list[str] = field(default_factory=list)
    by_recording: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    used: set[int] = field(default_factory=set)

    def add(self, rows: Rows) -> None:
        """Add an utterance to the store, or leave it out."""
        self.found += 1
        self.rows += len(rows.values) + rows.dropped
        self.unmet += rows.dropped
        self._check_shape(rows)
        known = self._known(rows)
        if known is None:
            return
        vectors = rows.values[known]
        streams, fields = {}, {}
        if self.opened.sequences:
            vectors, missing = self._even(rows, vectors, known)
            streams = {FEATURES: vectors}
            if self.settings.gaps == "fill":
                fields["filled_frames"] = missing
        identifier, labels, meta = self._described(rows.name)
        manifest_items.check_id(identifier, str(self.settings.source))
        self.writer.add(
            identifier,
            streams=streams,
            labels=labels,
            meta={**meta, **fields},
            pooled={self.pooled: _mean(vectors)},
        )

    def _check_shape(self, rows: Rows) -> None:
        count, width = rows.values.shape
        if width != self.opened.dim:
            raise DataError(
                f"{rows.where}: {width} features, but the first file has {self.opened.dim}; all "
                "utterances need the same"
            )
        if count > 1 and not self.opened.sequences:
            raise DataError(
                f"{rows.where}: {count_of(count, 'row')}, but one vector an utterance was asked "
                "for; with --sequences they are frames"
            )

    def _known(self, rows: Rows) -> np.ndarray | None:
        """(K,) bool: the rows without missing values; None where the utterance is left out."""
        known: np.ndarray = np.isfinite(rows.values).all(axis=1)
        if not len(known):
            self._lose(NO_ROW, rows.name)
            return None
        if not known.all():
            if self.settings.drop_nan is None:
                raise self._missing_value(rows, known)
            if (~known).mean() > self.settings.drop_nan or not known.any():
                self._lose(MISSING_VALUES, rows.name)
                return None
            self.missing += int((~known).sum())
        return known

    def _lose(self, reason: str, name: str) -> None:
        self.lost.setdefault(reason, []).append(name)

    def _missing_value(self, rows: Rows, known: np.ndarray) -> DataError:
        row = int(np.flatnonzero(~known)[0])
        place = int(np.flatnonzero(~np.isfinite(rows.values[row]))[0])
        column = self.opened.columns[place] if self.opened.columns else f"value {place} (from 0)"
        exclude = ", --exclude a column" if self.opened.columns else ""
        return DataError(
            f"{rows.where}: {(~known).sum()} of {count_of(len(known), 'row')} of {rows.name} with "
            f"missing values (NaN or infinite), the first in row {row + 1}: {column} is "
            f"{rows.values[row, place]:g}. --drop-nan SHARE drops such rows{exclude}"
        )

    def _even(self, rows: Rows, vectors: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, int]:
        """Frames on an even grid, and how many of it are missing. vectors: those that are known."""
        places = np.arange(len(rows.kept))
        if rows.times is not None:
            grid = grid_of(rows.times)
            if grid.worst > TOO_FAR:
                timed = self.opened.timed
                what, unit = ("times", " s") if timed else ("frame numbers", "")
                advice = ", or give --rate HZ, which ignores times" if timed else ""
                raise DataError(
                    f"{rows.where}: the {what} of {rows.name} are not evenly spaced (one is "
                    f"{grid.worst:.2g} steps of {grid.step:.4g}{unit} off); resample them{advice}"
                )
            if grid.worst > UNEVEN:
                self.uneven.append(rows.name)
            if self.opened.timed:
                self.rates.add(rows.name, grid)
            places = grid.positions
        count = int(places[-1]) + 1
        missing = count - len(vectors)
        if count > MOST_GAPS * len(places):
            raise DataError(
                f"{rows.where}: {rows.name} has {count_of(len(places), 'row')} in "
                f"{count_of(count, 'step')} of its times; they are not one utterance's"
            )
        if missing:
            self.gaps[rows.name] = missing
            if self.settings.gaps == "fill":
                vectors = filled(vectors, places[rows.kept][known], count)
        return vectors, missing

    def _described(self, name: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """Id, labels and fields of an utterance."""
        prefix = f"{self.settings.prefix}_" if self.settings.prefix else ""
        if self.annotated is None:
            return prefix + name, {}, {}
        row = self.annotated.row_of(prefix + name)
        if row is None:
            row = self.annotated.row_of(name)
        if row is None:
            self.strange.append(prefix + name)
            return prefix + name, {}, {}
        self.used.add(row)
        identifier = self.annotated.ids[row]
        if identifier != prefix + name:
            self.by_recording.append(name)
        return identifier, self.annotated.labels(row), self.annotated.fields(row)

    def end(self) -> None:
        """What is known at the end alone. Raises DataError where nothing is left, nobody annotates
        any utterance, or rates differ."""
        kept = len(self.writer.ids)
        if not kept:
            reasons = "; ".join(f"{why}: {len(names)}" for why, names in self.lost.items())
            raise DataError(
                f"{self.settings.source}: all {count_of(self.found, 'utterance')} left out "
                f"({reasons}); nothing was written"
            )
        if self.annotated is not None and not self.used:
            raise DataError(
                f"{self.settings.annotations} has no utterance of {self.settings.source}: its ids "
                f"are like {next(iter(self.annotated.ids), 'none')}, those of the features like "
                f"{self.strange[0]}; --prefix NAME puts NAME_ before them"
            )
        if self.lost:
            counts = {why: len(names) for why, names in self.lost.items()}
            losses = {"found": self.found, "kept": kept, "lost": counts}
            self.writer.provenance["losses"] = losses
        if self.opened.sequences:
            rate = self._common_rate() if self.opened.timed else self.settings.rate
            if rate is None:
                raise DataError(
                    f"{self.settings.source}: no utterance has two rows, so that their rate is not "
                    "known; give it with --rate HZ, or --vectors"
                )
            self.rate_hz = rate
            self.writer.set_rate(FEATURES, rate)

    def _common_rate(self) -> float | None:
        try:
            return self.rates.common()
        except DataError as error:
            raise DataError(f"{self.settings.source}: {error}") from error


def _mean(vectors: np.ndarray) -> np.ndarray:
    """(D,) mean of (T, D) as `extract` computes it; of numbers whose sum float32 does not hold, in
    float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        found: np.ndarray = vectors.mean(axis=0)
    return found if np.isfinite(found).all() else vectors.mean(axis=0, dtype=np.float64)


def _report(done: _Importing, progress: Progress) -> None:
    """The last messages: what was read, dropped, filled, and not matched."""
    settings, opened = done.settings, done.opened
    for why, names in done.lost.items():
        progress.warn(
            f"{count_of(len(names), 'utterance is', 'utterances are')} left out ({why}): "
            f"{work.some_of(names)}"
        )
    if done.unmet or done.missing:
        progress.warn(
            f"{done.unmet + done.missing} of {count_of(done.rows, 'row was', 'rows were')} "
            f"dropped: {done.unmet} do not meet --where, {done.missing} have missing values"
        )
    if done.gaps:
        how = "interpolated over time" if settings.gaps == "fill" else "closed"
        progress.warn(
            f"{count_of(sum(done.gaps.values()), 'frame is', 'frames are')} missing in "
            f"{count_of(len(done.gaps), 'utterance')}, and were {how}: {work.some_of([*done.gaps])}"
        )
    if done.uneven:
        progress.warn(
            f"the times of {count_of(len(done.uneven), 'utterance is', 'utterances are')} uneven, "
            f"by more than {UNEVEN:g} of a step: {work.some_of(done.uneven)}"
        )
    if done.annotated is not None:
        _report_ids(done, done.annotated, progress)
    if opened.layout is not None and opened.layout.beside:
        progress.say(f"columns that are not features: {', '.join(opened.layout.beside)}")
    if opened.columns:
        first, last = opened.columns[:3], opened.columns[3:][-1:]
        skipped = ("…",) if len(opened.columns) > 4 else ()
        progress.say(f"features: {', '.join((*first, *skipped, *last))}")
    rate = f" at {done.rate_hz:g} Hz" if opened.sequences else ""
    kind = "frames" if opened.sequences else "vectors"
    tool = f" of {opened.tool}" if opened.tool else ""
    progress.say(
        f"{settings.output}: {count_of(len(done.writer.ids), 'utterance')}, {kind} of "
        f"{count_of(opened.dim, 'feature')}{tool}{rate}"
    )


def _report_ids(done: _Importing, annotated: Annotated, progress: Progress) -> None:
    if done.by_recording:
        progress.say(
            f"{count_of(len(done.by_recording), 'utterance was', 'utterances were')} found by the "
            f"name of their recording, and have the ids of {annotated.path}"
        )
    if done.strange:
        progress.warn(
            f"{count_of(len(done.strange), 'utterance')} without labels, as {annotated.path} does "
            f"not have them: {work.some_of(done.strange)}"
        )
    lacking = [name for row, name in enumerate(annotated.ids) if row not in done.used]
    if lacking:
        progress.warn(
            f"{count_of(len(lacking), 'utterance')} of {annotated.path} without features: "
            f"{work.some_of(lacking)}"
        )
