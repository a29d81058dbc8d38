"""Pictures of predicted classes: confusion matrices, and how reliable probabilities are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from avaffect.core.progress import SILENT, Progress
from avaffect.evaluation.calibration import Calibration
from avaffect.evaluation.classification import Confusion
from avaffect.recipes.common import pictures
from avaffect.recipes.scoring.reports.classes import ClassReport, RetrievalReport
from avaffect.settings.eval_class import EvalClassSettings

PANEL_INCHES = 4.2
# Of a panel, what its title has room in.
TITLE_SHARE = 0.75
# Inches for each class beyond those that have room.
ROOMY, CLASS_INCHES = 6, 0.45
# Numbers in dark cells are white.
DARK = 0.7
T = TypeVar("T")
Reports = Sequence[ClassReport | RetrievalReport]


def write(settings: EvalClassSettings, reports: Reports, progress: Progress) -> None:
    """The pictures that were asked for. Raises OutputExistsError where another file is there,
    unless forced."""
    made = {"inputs": [entry for r in reports for entry in r.provenance["inputs"]]}
    if settings.plot is not None:
        parts = [(Path(report.file).stem, report.confusion) for report in reports]
        content = confusions(parts, settings.plot.suffix.lower(), progress)
        pictures.write(settings.plot, settings, made, content, progress)
    if settings.plot_reliability is not None:
        known = [
            (Path(report.file).stem, report.calibration)
            for report in reports
            if isinstance(report, ClassReport) and report.calibration is not None
        ]
        content = reliabilities(known, settings.plot_reliability.suffix.lower(), progress)
        pictures.write(settings.plot_reliability, settings, made, content, progress)


def confusions(
    parts: Sequence[tuple[str, Confusion]], suffix: str, progress: Progress = SILENT
) -> bytes:
    """A panel for each: shares of the true class by colour and in percent, with the counts."""
    most = max(len(of.classes) for _, of in parts)
    side = PANEL_INCHES + CLASS_INCHES * max(0, most - ROOMY)
    return _side_by_side(parts, side, _confusion, suffix, progress)


def reliabilities(
    parts: Sequence[tuple[str, Calibration]], suffix: str, progress: Progress = SILENT
) -> bytes:
    """A panel for each: accuracy of the utterances in each bin at their mean probability, on the
    diagonal where calibration is perfect; below, how many they are."""
    return _side_by_side(parts, PANEL_INCHES, _reliability, suffix, progress)


def _side_by_side(
    parts: Sequence[tuple[str, T]],
    side: float,
    draw: Callable[[Any, T], str],
    suffix: str,
    progress: Progress,
) -> bytes:
    """draw: gives what a panel says itself, below its name."""

    def panels(figure: Any) -> None:
        for panel, (title, of) in zip(figure.subplots(1, len(parts), squeeze=False)[0], parts):
            own = draw(panel, of)
            name = pictures.fitted(title, TITLE_SHARE * side) if len(parts) > 1 else ""
            panel.set_title("\n".join(filter(None, (name, own))), loc="left", fontsize="medium")

    return pictures.drawn((side * len(parts), side), suffix, panels, progress)


def _confusion(panel: Any, of: Confusion) -> str:
    counts = np.array(of.matrix)
    true = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, true, out=np.zeros(counts.shape), where=true > 0)
    panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape):
        share = shares[row, column]
        panel.text(
            column, row, f"{100 * share:.0f} %\n{counts[row, column]:g}", ha="center", va="center",
            fontsize="small", color="white" if share > DARK else "black",
        )  # fmt: skip
    places = range(len(of.classes))
    panel.set_xticks(places, of.classes)
    pictures.leaning(panel)
    panel.set_yticks(places, of.classes)
    panel.set_xlabel("predicted")
    panel.set_ylabel("true")
    return ""


def _reliability(panel: Any, of: Calibration) -> str:
    known = [one for one in of.bins if one.count]
    most = max(one.count for one in known)
    width = 1 / len(of.bins)
    panel.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle="--", label="perfect")
    panel.bar(
        [(one.low + one.high) / 2 for one in known], [0.2 * one.count / most for one in known],
        width=0.9 * width, color="C7", alpha=0.4, label=f"utterances (at most {most})",
    )  # fmt: skip
    panel.plot(
        [one.confidence for one in known], [one.accuracy for one in known], marker="o",
        markersize=5, color="C0", label="accuracy", clip_on=False, zorder=3,
    )  # fmt: skip
    panel.set_xlim(0, 1)
    panel.set_ylim(0, 1)
    panel.set_aspect("equal")
    panel.grid(alpha=0.3)
    panel.set_xlabel("probability of the predicted class")
    panel.set_ylabel("accuracy")
    panel.legend(loc="best", fontsize="small")
    return f"expected error {of.ece:.3f}, Brier {of.brier:.3f}"
