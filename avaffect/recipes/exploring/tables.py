"""Tables of `explore`: of the summary, and of every utterance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from avaffect.core.nouns import count_of
from avaffect.core.table import Style, Table
from avaffect.evaluation.sound_quality import MEASURES
from avaffect.recipes.common import speaker_classes
from avaffect.recipes.exploring.sounds import CLIPPED, Sounds
from avaffect.recipes.exploring.summaries import ALL
from avaffect.recipes.exploring.utterances import Utterances
from avaffect.recipes.scoring.reports.exploration import (
    ExplorationReport,
    LabelBalance,
    Spread,
    TraceSummary,
    VoteSummary,
)

SPREAD = ("count", "least", "low", "median", "high", "greatest", "mean")
HEADINGS = {"low": "5 %", "high": "95 %", "seconds": "duration"}
WORDS = {
    "duration_s": "duration in s", "peak_db": "peak in dB", "level_db": "level in dB",
    "noise_db": "noise in dB", "snr_db": "SNR in dB", "silence": "silence, share",
    "offset": "offset, share",
}  # fmt: skip
# A table of more values than this is no table to look at.
MOST_ROWS = 30
# A share of variance below this is not worth a line.
SMALL = 0.01


def tables(report: ExplorationReport, style: Style) -> list[Table]:
    """Those of the summary; without rows, none."""
    found = [_fields(report, style)]
    for name, label in report.labels.items():
        found += _label(name, label, style)
    found += _votes(report.votes, style)
    found.append(_traces(report.traces, style))
    found.append(_spreads("Durations and numbers", {"seconds": report.seconds} | report.numbers,
                          style))  # fmt: skip
    if report.sound is not None:
        measures = {n: of for n, of in report.sound.measures.items() if n != "duration_s"}
        found.append(_spreads("Sound", measures, style, _sound_note(report)))
        found.append(_confounded(report, style))
        clipped = [[name, str(count)] for name, count in report.sound.most_clipped.items()]
        found.append(Table.of("Most clipped", ["utterance", "clipped samples"], clipped))
        found += [_duplicates(report), _outliers(report, style)]
    return [table for table in found if table.rows]


def _fields(report: ExplorationReport, style: Style) -> Table:
    rows = [
        [name, str(of.values), str(of.missing), str(of.fewest), f"{of.median:g}", str(of.most)]
        for name, of in report.fields.items()
    ]
    names = ["field", "values", "missing", "fewest", "median", "most"]
    several = report.speakers_across_splits
    note = (
        ""
        if several is None
        else f"; {count_of(several, 'speaker is', 'speakers are')} in several splits"
    )
    return Table.of(
        f"{count_of(report.count, 'utterance')}", names, rows, f"utterances a value{note}"
    )


def _label(name: str, label: LabelBalance, style: Style) -> Iterator[Table]:
    """Classes by split and sex as columns, and each speaker as a row where they are few."""
    beside = {field: of for field, of in label.by.items() if field != "speaker" and of.counts}
    columns = [(field, value) for field, of in beside.items() for value in of.counts]
    total = sum(label.classes.values())
    rows = [
        [known, str(count), style.number(count / total if total else None),
         *(str(beside[field].counts[value][known]) for field, value in columns)]
        for known, count in label.classes.items()
    ]  # fmt: skip
    rows += [["without", str(label.missing)] + [""] * (len(columns) + 1)] if label.missing else []
    association = ", ".join(
        f"{field} {of.cramers_v:.2f}" for field, of in label.by.items() if of.cramers_v is not None
    )
    told = {
        speaker_classes.OF_CLASS: "each class is of one speaker alone",
        speaker_classes.OF_SPEAKER: "each speaker has one class alone",
    }.get(label.told_by or "", "")
    note = f"Cramer's V with {association} (0: independent, 1: the same)" if association else ""
    note = "; ".join(filter(None, (told, note)))
    names = ["class", "utterances", "share", *(f"{value}" for _, value in columns)]
    yield Table.of(f"Label {name}", names, rows, note)
    of = label.by.get("speaker")
    if of is not None and 0 < len(of.counts) <= MOST_ROWS:
        rows = [[who, *map(str, counts.values())] for who, counts in of.counts.items()]
        yield Table.of(f"Label {name} by speaker", ["speaker", *label.classes], rows)


def _votes(votes: Mapping[str, VoteSummary], style: Style) -> Iterator[Table]:
    """How far raters agree, and the classes that they vote for."""
    scores = ("raters", "top", "unanimous", "tied", "kappa")
    headings = {"raters": "raters each", "top": "most voted"}
    rows = [
        [name, str(of.count), *(style.number(getattr(of, score)) for score in scores)]
        for name, of in votes.items()
    ]
    note = "most voted: its share of the votes; kappa: 0 is chance, 1 all agree"
    names = ["label", "utterances", *style.headings(scores, headings)]
    yield Table.of("Agreement of raters", names, rows, note)
    for name, of in votes.items():
        rows = [[known, style.number(share)] for known, share in of.classes.items()]
        yield Table.of(f"Votes {name}", ["class", "share of votes"], rows)


def _traces(traces: Mapping[str, TraceSummary], style: Style) -> Table:
    shown = [
        ("label", [*traces]),
        ("n", [str(of.count) for of in traces.values()]),
        ("raters", [str(of.raters) for of in traces.values()]),
        ("Hz", [f"{of.rate_hz:g}" if of.rate_hz else "" for of in traces.values()]),
        *(
            (score, [style.number(getattr(of, score)) for of in traces.values()])
            for score in ("least", "greatest", "mean", "constant", "unknown")
        ),
    ]
    if all(of.raters == 1 for of in traces.values()):
        shown = [column for column in shown if column[0] != "raters"]
    rows = [list(row) for row in zip(*(cells for _, cells in shown), strict=True)]
    note = "n: traces; constant: share of them; unknown: share of their values"
    return Table.of("Traces", [name for name, _ in shown], rows, note)


def _spreads(
    title: str, spreads: Mapping[str, Mapping[str, Spread]], style: Style, note: str = ""
) -> Table:
    """Of all utterances, and beside them the median of each split."""
    splits = list(dict.fromkeys(part for parts in spreads.values() for part in parts))[1:]
    rows = [
        [WORDS.get(name, HEADINGS.get(name, name)),
         *(style.number(getattr(parts[ALL], score)) for score in SPREAD),
         *(style.number(parts[split].median) for split in splits)]
        for name, parts in spreads.items()
        if parts[ALL].count
    ]  # fmt: skip
    names = ["of", *style.headings(SPREAD, HEADINGS), *splits]
    medians = "of splits, the median" if splits else ""
    return Table.of(title, names, rows, "; ".join(filter(None, (note, medians))))


def _sound_note(report: ExplorationReport) -> str:
    assert report.sound is not None
    clipped = report.sound.clipped
    note = "levels in dB of full scale; noise: what is left in pauses, an estimate"
    return (
        note
        if clipped is None
        else f"{note}; {count_of(clipped, 'utterance has', 'utterances have')} clipped samples"
    )


def _confounded(report: ExplorationReport, style: Style) -> Table:
    rows = [
        [name, WORDS[measure], style.number(share)]
        for name, shares in report.confounded.items()
        for measure, share in sorted(shares.items(), key=lambda pair: -pair[1])
        if share >= SMALL
    ]
    note = "share of the variance of the sound that lies between classes (epsilon squared)"
    return Table.of("What the sound tells of labels", ["label", "of", "share"], rows, note)


def _duplicates(report: ExplorationReport) -> Table:
    found = report.duplicates
    rows = [
        [", ".join(one.ids) + (", ..." if one.count > len(one.ids) else ""), str(one.count),
         ", ".join(one.splits), ", ".join(one.speakers)]
        for one in (found.listed if found is not None else ())
    ]  # fmt: skip
    names = ["utterances that sound the same", "count", "splits", "speakers"]
    note = ""
    if found is not None:
        note = f"{count_of(found.groups, 'group')}, {found.across_splits} of them across splits"
    return Table.of("Near-duplicates", names, rows, note)


def _outliers(report: ExplorationReport, style: Style) -> Table:
    assert report.sound is not None
    rows = [
        [one.id, WORDS[one.measure], style.number(one.value), f"{one.z:+.1f}", one.media]
        for one in report.sound.listed
    ]
    note = (
        "z: distance from the median; "
        f"{count_of(report.sound.outliers, 'utterance is', 'utterances are')} beyond 3.5"
    )
    return Table.of("Worth a listen", ["utterance", "of", "value", "z", "recording"], rows, note)


def columns(of: Utterances) -> list[str]:
    """Of the table of every utterance."""
    return ["id", *of.fields, *of.classes, *of.numbers, *MEASURES, CLIPPED, "alike", "media"]


def rows(of: Utterances, sounds: Sounds | None, groups: Sequence[int]) -> Iterator[list[str]]:
    """A row for each utterance: numbers as they are, "" for what is unknown; alike: number of its
    group of near-duplicates. Made one by one: there may be a million."""
    style = Style(for_people=False)
    named = [*of.fields.values(), *of.classes.values()]
    for row, identifier in enumerate(of.ids):
        cells = [identifier, *(column.at(row) for column in named)]
        cells += [_number(values[row], style) for values in of.numbers.values()]
        if sounds is None:
            cells += [_number(of.seconds[row], style), *[""] * len(MEASURES)]
        else:
            cells += [_number(value, style) for value in sounds.measures[row].tolist()]
            clipped = int(sounds.clipped[row])
            cells.append(str(clipped) if clipped >= 0 else "")
        group = int(groups[row])
        yield [*cells, str(group) if group >= 0 else "", of.media(row)]


def _number(value: float, style: Style) -> str:
    return "" if value != value else style.number(float(value))
