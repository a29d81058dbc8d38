"""Tables of `eval-embeddings`."""

from __future__ import annotations

from collections.abc import Sequence

from avaffect.core.table import Style, Table
from avaffect.recipes.scoring.reports.vectors import VectorReport

COLUMNS = ("file", "by", "classes", "utterances", "davies_bouldin", "chance")
HEADINGS = {"davies_bouldin": "Davies-Bouldin"}


def tables(reports: Sequence[VectorReport], style: Style) -> list[Table]:
    rows = [
        [report.file, name, str(of.classes), str(of.utterances), style.number(of.davies_bouldin),
         style.number(of.chance)]
        for report in reports
        for name, of in report.by.items()
    ]  # fmt: skip
    return [Table.of("Separation", style.headings(COLUMNS, HEADINGS), rows)]
