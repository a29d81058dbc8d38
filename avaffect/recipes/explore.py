"""`explore`: what a corpus or a store is like, before a training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avaffect.core import plain_json
from avaffect.core.nouns import count_of
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import identity
from avaffect.data.recordings import media_content_id
from avaffect.recipes.common import publishing, work
from avaffect.recipes.exploring import doubts, summaries, utterances
from avaffect.recipes.exploring.sounds import Sounds, listen
from avaffect.recipes.exploring.utterances import Utterances
from avaffect.recipes.scoring.reports.base import write_reports
from avaffect.recipes.scoring.reports.exploration import ExplorationReport
from avaffect.settings.explore import ExploreSettings


@dataclass(frozen=True)
class Explored:
    """report: the summary; utterances, sounds, groups (N,): of each utterance; sounds is None, and
    groups all -1, where sound was not looked at."""

    report: ExplorationReport
    utterances: Utterances
    sounds: Sounds | None
    groups: np.ndarray


def explore(settings: ExploreSettings, progress: Progress = SILENT) -> Explored | None:
    """The summary, also written to `settings.output`; see avaffect-explore(1). None where that is
    there already, and of a dry run.

    Raises DataError for another kind of file, a label that is not there, and a field that no
    utterance has.
    """
    of = utterances.read(settings.source, settings.by, settings.label)
    made = work.record("explore", settings, _inputs(of, settings))
    if publishing.is_current(
        settings, made, progress, is_same=lambda path: _made(path) == identity(made)
    ) or publishing.is_dry(
        settings, progress, f"look at {count_of(len(of.ids), 'utterance')} of {of.name}"
    ):
        return None
    sounds = None if settings.without_sound else listen(of, settings.jobs, progress)
    groups = np.full(len(of.ids), -1, dtype=np.int64)
    seconds, found, alike = of.seconds, None, None
    if sounds is not None:
        heard = sounds.of("duration_s")
        seconds = np.where(np.isfinite(heard), heard, seconds)
        found = summaries.sound(of, sounds, settings.listed)
        alike, groups = summaries.duplicates(of, sounds, settings.listed)
    report = ExplorationReport(
        file=str(settings.source),
        count=len(of.ids),
        fields={name: summaries.field_summary(column) for name, column in of.fields.items()},
        labels={name: summaries.label_balance(c, of.fields) for name, c in of.classes.items()},
        numbers={name: summaries.by_split(values, of) for name, values in of.numbers.items()},
        seconds=summaries.by_split(seconds, of),
        speakers_across_splits=summaries.speakers_across_splits(of),
        confounded={} if sounds is None else summaries.confounded(of, sounds),
        sound=found,
        duplicates=alike,
        votes=dict(of.votes),
        traces=dict(of.traces),
        provenance=made,
    )
    known = report.seconds[summaries.ALL]
    hours = f", {(known.total or 0.0) / 3600:.2f} hours" if known.count else ""
    progress.say(f"{report.file}: {count_of(report.count, 'utterance')}{hours}")
    for words in doubts.of(report):
        progress.warn(words)
    write_reports(
        settings,
        [report],
        progress,
        f"what {count_of(len(of.ids), 'utterance is', 'utterances are')} like",
    )
    return Explored(report, of, sounds, groups)


def _inputs(of: Utterances, settings: ExploreSettings) -> list[work.Input]:
    """Recordings that are heard are inputs, too: a changed one sounds otherwise."""
    given = [] if of.path is None else [("source", of.path, of.content_id)]
    if of.corpus is not None and not settings.without_sound:
        heard = media_content_id(of.corpus, of.corpus.items)
        given.append(("recordings", of.corpus.folder, heard))
    return given


def _made(path: Path) -> str | None:
    """The identity of a report's provenance; None of another file."""
    try:
        found = plain_json.parse(path.read_text(encoding="utf-8"))
        return identity(found["provenance"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
