"""The predictions that a report of `eval-class` is of, where they are still there."""

from __future__ import annotations

from pathlib import Path

from avaffect.core.errors import AvaffectError
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import of_role
from avaffect.data import artifacts
from avaffect.data.manifest import STANDARD_STREAM
from avaffect.recipes.scoring import class_pairs
from avaffect.recipes.scoring.class_pairs import PairedClasses
from avaffect.recipes.scoring.reports.classes import ClassReport
from avaffect.settings.eval_class import EvalClassSettings

# Settings of a report that say what is paired.
_NAMES = ("label", "id_column", "split", "classes")


def predictions_of(path: Path, report: ClassReport, progress: Progress) -> PairedClasses | None:
    """What a report in the file `path` was made from, as it was scored; None where its predictions
    or their gold are no longer there, or have changed."""
    folder = Path() if path == STANDARD_STREAM else path.resolve().parent
    try:
        given = of_role(report.provenance, "predictions")
        if len(given) != 1:
            return None
        found = artifacts.locate(given[0], folder)
        gold = [artifacts.locate(entry, folder) for entry in of_role(report.provenance, "gold")]
        made = report.provenance.get("settings", {})
        settings = EvalClassSettings(
            predictions=(found,),
            gold=tuple(gold),
            **{name: made[name] for name in _NAMES if name in made},
        )
        return class_pairs.paired(class_pairs.read(found, settings), settings, SILENT)
    except (AvaffectError, KeyError, TypeError) as error:
        progress.detail(f"{path}: its predictions cannot be read again: {error}")
        return None
