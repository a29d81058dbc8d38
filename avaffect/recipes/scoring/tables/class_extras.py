"""Tables of what `eval-class` adds to scores on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from avaffect.core.nouns import count_of
from avaffect.core.table import Style, Table
from avaffect.recipes.scoring.reports.classes import ClassReport
from avaffect.settings.scores import SCORE_WORDS

# Scores of groups, whose F1 micro is their accuracy.
OF_GROUPS = ("accuracy", "ua", "f1_macro")

Reports = Sequence[ClassReport]


def columns(reports: Reports, style: Style) -> dict[str, list[str]]:
    """Further columns for programs -> their cells, a cell for each report: what chance gives, and
    what any report was asked for."""
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for r in reports for name in r.chance or ()):
        found[f"{name}_chance"] = [style.number((r.chance or {}).get(name)) for r in reports]
    tests = [r.permutation for r in reports]
    for name in dict.fromkeys(name for test in tests if test is not None for name in test.p):
        found[f"{name}_p"] = ["" if t is None else f"{t.p[name]:.6g}" for t in tests]
    if any(r.calibration is not None for r in reports):
        for name in ("ece", "brier"):
            found[name] = [style.number(getattr(r.calibration, name, None)) for r in reports]
    return found


def _intervals(reports: Reports, style: Style) -> list[Table]:
    """Bounds of each score, beside what chance gives; a row for each."""
    found = []
    for report, held in _having("intervals", reports):
        rows = [
            [_heading(name, style),
             *(style.number(value) for value in (getattr(report, name), *bounds)),
             style.number((report.chance or {}).get(name))]
            for name, bounds in held.bounds.items()
        ]  # fmt: skip
        title = f"Intervals of {held.percent:g} % over {held.units} {held.over}"
        names = ["score", "mean", "from", "to", "chance"]
        note = f"too narrow, as intervals of few {held.over} are" if held.narrow else ""
        found.append(Table.of(_titled(title, report, reports), names, rows, note))
    return found


def _permutation(reports: Reports, style: Style) -> list[Table]:
    found = []
    for report, test in _having("permutation", reports):
        rows = [
            [_heading(name, style), style.number(getattr(report, name)),
             style.number((report.chance or {}).get(name)), f"{p:.3g}"]
            for name, p in test.p.items()
        ]  # fmt: skip
        title = _titled("Permutation test", report, reports)
        how = count_of(test.arrangements, "arrangement" if test.exact else "random arrangement")
        note = (
            f"p: of {'all ' * test.exact}{how} of the labels within {test.within}, those with a "
            "score as high"
        )
        found.append(Table.of(title, ["score", "mean", "chance", "p"], rows, note))
    return found


def _calibration(reports: Reports, style: Style) -> list[Table]:
    found = []
    for report, of in _having("calibration", reports):
        rows = [
            [f"{one.low:g} to {one.high:g}", str(one.count), style.number(one.confidence),
             style.number(one.accuracy)]
            for one in of.bins
        ]  # fmt: skip
        rows.append(["all", str(of.count), style.number(of.confidence), style.number(of.accuracy)])
        title = f"Calibration: expected error {of.ece:.3f}, Brier score {of.brier:.3f}"
        names = ["probability", "count", "mean probability", "accuracy"]
        note = (
            f"{count_of(len(of.bins), 'bin')} of equal width of the probability of the predicted "
            "class"
        )
        found.append(Table.of(_titled(title, report, reports), names, rows, note))
    return found


def _groups(reports: Reports, style: Style) -> list[Table]:
    """One table, a row for each group, with what chance gives there beside UA."""
    rows = []
    for report in reports:
        for field, groups in (report.groups or {}).items():
            for group in groups:
                count = f"{group.count}{' (few)' if group.few and style.for_people else ''}"
                speakers = "" if group.speakers is None else str(group.speakers)
                scores = [style.number(getattr(group, name)) for name in OF_GROUPS]
                chance = [style.number(group.chance.get(name)) for name in OF_GROUPS]
                few = [] if style.for_people else [str(int(group.few))]
                start = [str(report.file), field, group.value, count, speakers, *few]
                cells = [c for pair in zip(scores, chance) for c in pair]
                rows.append([*start, *cells])
    if not rows:
        return []
    few = [] if style.for_people else ["few"]
    names = ["file", "field", "value", "count", "speakers", *few]
    for name in OF_GROUPS:
        names += [_heading(name, style), "chance" if style.for_people else f"{name}_chance"]
    table = Table.of("Groups", names, rows)
    return [table.without_single_file(len(reports)) if style.for_people else table]


def _having(name: str, reports: Reports) -> Iterator[tuple[ClassReport, Any]]:
    """The reports that have a field, each with it."""
    for report in reports:
        if (found := getattr(report, name)) is not None:
            yield report, found


def _heading(name: str, style: Style) -> str:
    return SCORE_WORDS.get(name, name) if style.for_people else name


def _titled(title: str, report: ClassReport, reports: Reports) -> str:
    return title if len(reports) == 1 else f"{title}, {report.file}"


TABLES: dict[str, Callable[[Reports, Style], list[Table]]] = {
    "intervals": _intervals,
    "permutation": _permutation,
    "calibration": _calibration,
    "groups": _groups,
}
