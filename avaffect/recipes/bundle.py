"""`bundle`: a classifier that needs no other file."""

from __future__ import annotations

from pathlib import Path

from avaffect.core import headers
from avaffect.core.errors import DataError
from avaffect.core.hashing import file_content_id
from avaffect.core.headers import ClassifierHeader, HeldOutScores
from avaffect.core.progress import SILENT, Progress
from avaffect.core.provenance import Reference, relative
from avaffect.recipes.common import publishing, work
from avaffect.recipes.downstream.decoded_recordings import prepared
from avaffect.settings.bundle import BundleSettings


def bundle(settings: BundleSettings, progress: Progress = SILENT) -> None:
    """Write the classifier with all that `predict` needs.

    Raises DataError where it is a bundle already, its encoder is not found, or recordings do not
    give what it reads.
    """
    header = headers.read(settings.classifier, ClassifierHeader)
    if header.bundle is not None:
        raise DataError(f"{settings.classifier} is a bundle already; copy it")
    prepared(settings.classifier, header)
    inputs = work.file_inputs("classifier", [settings.classifier], "classifier")
    if settings.scores is not None:
        inputs.append(("scores", settings.scores, file_content_id(settings.scores)))
    made = work.record("bundle", settings, inputs)
    made["inputs"] += _moved(settings, header)
    if publishing.is_done(settings, made, progress, f"bundle {settings.classifier}"):
        return
    from avaffect.recipes.downstream import bundling

    scores = () if settings.scores is None else _scores(settings.scores, progress)
    bundling.run(settings, scores, made, progress)


def _moved(settings: BundleSettings, header: ClassifierHeader) -> list[Reference]:
    """References of the classifier to what it was made from, as they are from the bundle's
    folder: its encoder and its stores are its own lineage too."""
    here = settings.classifier.resolve().parent
    kept = [r for role in ("encoder", "media") for r in header.parents(role)]
    return [{**r, "path": relative(here / r["path"], settings.output)} for r in kept]


def _scores(path: Path, progress: Progress) -> tuple[HeldOutScores, ...]:
    # Only with --scores: it brings SciPy.
    from avaffect.recipes.scoring.run_tables import read_rows

    return tuple(
        HeldOutScores(
            name=row.name,
            content=row.content,
            runs=len(row.runs),
            scores={name: float(values.mean()) for name, values in row.scores.items()},
            seen=row.seen,
        )
        for row in read_rows([path], progress)
    )
