"""Vectors of utterances in two dimensions, and how far their classes are apart."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from avaffect.core.nouns import count_of
from avaffect.core.table import Style, Table
from avaffect.data.store.reader import Store
from avaffect.recipes.common import work
from avaffect.recipes.reporting import charts
from avaffect.recipes.reporting.context import Context
from avaffect.recipes.reporting.parts import Chart, Charts, Note, Part, Section, TablePart
from avaffect.recipes.scoring.clouds import Cloud, cloud_of, vector_report
from avaffect.recipes.scoring.reports.vectors import VectorReport
from avaffect.recipes.scoring.tables.vectors import tables
from avaffect.settings.eval_embeddings import EvalEmbeddingsSettings

# Of points for t-SNE.
FEWEST = 8
LEAD = (
    "t-SNE keeps neighbours together; distances between groups mean little. Davies-Bouldin index: "
    "lower is more apart."
)


def section(context: Context) -> Section | None:
    """Every store with vectors of utterances that was given, side by side; None without any."""
    clouds: dict[str, list[Cloud]] = defaultdict(list)
    reports: list[VectorReport] = []
    notes: list[Part] = []
    for store in context.given.stores:
        if store.pooled:
            what = f"the vectors of {store.path}"
            notes += context.attempt(what, _look, context, store, clouds, reports)
    parts = [*notes, *(_drawn(name, of) for name, of in clouds.items())]
    if reports:
        parts += [TablePart(table) for table in tables(reports, Style(for_people=True))]
    return Section("embeddings", "Embeddings", tuple(parts), LEAD) if parts else None


def _look(
    context: Context, store: Store, clouds: dict[str, list[Cloud]], reports: list[VectorReport]
) -> Iterator[Part]:
    """Add the clouds of a store by what they are coloured by, and its report."""
    wanted = context.settings
    labels = [(name,) for name, spec in store.labels.items() if spec.kind == "class"]
    by = wanted.by or next(iter(labels), ())
    if not by:
        yield Note(f"{store.path} has no class label: name what separates its vectors with --by.")
        return
    settings = EvalEmbeddingsSettings(
        stores=(store.path,), by=by, points=wanted.points, perplexity=wanted.perplexity,
        seed=wanted.seed,
    )  # fmt: skip
    made = work.record("eval-embeddings", settings, work.store_inputs("vectors", [store]))
    report = vector_report(store, settings, made)
    reports.append(report)
    if min(store.count, settings.points) >= FEWEST:
        cloud = cloud_of(store, report, settings)
        for name in by:
            clouds[name].append(cloud)


def _drawn(name: str, clouds: Sequence[Cloud]) -> Part:
    """Clouds by one name, in colours that they share."""
    known = sorted({label for cloud in clouds for label in cloud.names[name]} - {""})
    place = {label: number for number, label in enumerate(known)}
    drawn = tuple(_chart(name, cloud, place) for cloud in clouds)
    return Charts(f"By {name}", drawn, tuple(known) if len(known) <= charts.COLOURS else ())


def _chart(name: str, cloud: Cloud, place: dict[str, int]) -> Chart:
    colours = [place.get(label, -1) for label in cloud.names[name]]
    label = f"{count_of(len(colours), 'utterance')} of {cloud.title} in two dimensions, by {name}"
    drawn = charts.points([(float(x), float(y)) for x, y in cloud.places], colours, label)
    counts = sorted(Counter(cloud.names[name]).items())
    rows = [[known or "unknown", str(count)] for known, count in counts]
    table = Table.of(f"Points by {name}", [name, "points"], rows)
    return Chart(f"{cloud.title}: {cloud.words[name]}", drawn, (), table)
