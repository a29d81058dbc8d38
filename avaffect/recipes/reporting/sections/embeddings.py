"""Vectors of utterances in two dimensions, and how far their classes are apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from avaffect.core.table import Table
from avaffect.data.store.reader import Store
from avaffect.recipes.common import work
from avaffect.recipes.reporting import charts
from avaffect.recipes.reporting.context import Context
from avaffect.recipes.reporting.parts import Chart, Charts, Note, Part, Section, TablePart
from avaffect.recipes.reporting.sections.scores import PEOPLE
from avaffect.recipes.scoring.clouds import Cloud, cloud_of, vector_report
from avaffect.recipes.scoring.scatter import MOST_NAMED
from avaffect.recipes.scoring.tables.vectors import tables
from avaffect.settings.eval_embeddings import EvalEmbeddingsSettings

# Of points for t-SNE.
FEWEST = 8
LEAD = (
    "t-SNE keeps neighbours together; distances between groups mean little. Davies-Bouldin index: "
    "lower is more apart."
)


def section(context: Context) -> Section | None:
    """Every store with vectors of utterances that was given; None without any."""
    parts: list[Part] = []
    for store in context.given.stores:
        if store.pooled:
            parts += context.attempt(f"the vectors of {store.path}", _of, context, store)
    return Section("embeddings", "Embeddings", tuple(parts), LEAD) if parts else None


def _of(context: Context, store: Store) -> Iterator[Part]:
    wanted = context.settings
    by = wanted.by or next(
        ((name,) for name, spec in store.labels.items() if spec.kind == "class"), ()
    )
    if not by:
        yield Note(f"{store.path} has no class label: name what separates its vectors with --by.")
        return
    settings = EvalEmbeddingsSettings(
        stores=(store.path,), by=by, points=wanted.points, perplexity=wanted.perplexity,
        seed=wanted.seed,
    )  # fmt: skip
    made = work.record("eval-embeddings", settings, work.store_inputs("vectors", [store]))
    report = vector_report(store, settings, made)
    if min(store.count, settings.points) >= FEWEST:
        cloud = cloud_of(store, report, settings)
        for name in by:
            yield _drawn(cloud, name)
    for table in tables([report], PEOPLE):
        yield TablePart(table)


def _drawn(cloud: Cloud, name: str) -> Part:
    known = sorted({*cloud.names[name]} - {""})
    number = {label: place for place, label in enumerate(known)}
    colours = [number.get(label, -1) for label in cloud.names[name]]
    counts = Counter(cloud.names[name])
    label = f"{len(colours)} utterances of {cloud.title} in two dimensions, by {name}"
    places = [(float(x), float(y)) for x, y in cloud.places]
    drawn = charts.points(places, colours, label)
    rows = [[label or "unknown", str(count)] for label, count in sorted(counts.items())]
    table = Table.of(f"Points by {name}", [name, "points"], rows)
    legend = tuple(known) if len(known) <= MOST_NAMED else ()
    chart = Chart(f"{name}: {cloud.words[name]}", drawn, (), table)
    return Charts(f"{cloud.title} by {name}", (chart,), legend)
