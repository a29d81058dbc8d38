"""Share of retrieved utterances with their query's label: `eval-class` of a retrieval."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance
from avaffect.data import artifacts
from avaffect.data.manifest import Manifest
from avaffect.evaluation import retrieval_quality
from avaffect.recipes.scoring import gold_labels
from avaffect.recipes.scoring.reports.classes import RetrievalReport
from avaffect.recipes.scoring.retrieval_agreement import agreement
from avaffect.recipes.scoring.vote_scores import Gold, true_classes
from avaffect.settings.class_map import ClassMap
from avaffect.settings.eval_class import EvalClassSettings


def score_retrieval(
    found: Manifest,
    file: str,
    provenance: Provenance,
    settings: EvalClassSettings,
    progress: Progress,
) -> RetrievalReport:
    """The pseudo-label accuracy of a retrieval.

    file, provenance: of the report.

    Raises DataError where no drawn utterance has a gold label.
    """
    made = found.header.made_with
    name, other = gold_labels.label_names(settings.label)
    label = name or made.label or gold_labels.DEFAULT_LABEL
    gold = _pool_gold(found, settings, other or name, label)
    # The classes of queries were merged by `retrieve`; the pool's own labels were not.
    chosen, merged = settings.class_map, queried_classes(found)

    def rename(name: str | None) -> str | None:
        return chosen.renamed(name) if chosen else merged.renamed(name) or name

    classes_of = true_classes(gold, chosen)
    if not chosen:
        classes_of = {identifier: rename(name) for identifier, name in classes_of.items()}
    owners, drawn, true = _draws(found, classes_of, rename)
    scored = [(owner, name) for owner, name in zip(owners, true) if owner and name]
    if not scored:
        raise DataError(
            f"{found.name}: none of its {count_of(len(drawn), 'draw')} has a gold label {label!r}; "
            "name a store or a corpus manifest that labels the pool with --gold"
        )
    queried = {owner for owner, _ in scored}
    only_pool = {name for _, name in scored} - queried
    classes = [*gold_labels.in_order(queried), *gold_labels.in_order(only_pool)]
    if chosen:
        classes = list(chosen.names)
    index_of = {name: index for index, name in enumerate(classes)}
    matrix = retrieval_quality.drawn(
        np.array([index_of[owner] for owner, _ in scored]),
        np.array([[index_of[name]] for _, name in scored]),
        len(classes),
    )
    missing = len(drawn) - len(scored)
    _say(found, len(drawn), missing, progress)
    agreeing = agreement(found, classes_of, rename, progress)
    sizes = [item["effective_size"] for item in found.items if "effective_size" in item]
    return RetrievalReport(
        file=file,
        target=label,
        temperature=made.temperature,
        queries=len(found),
        distinct=len(set(drawn)),
        effective_size=float(np.median(sizes)) if sizes else None,
        **vars(retrieval_quality.evaluate(matrix, classes)),
        missing_gold=missing,
        **vars(agreeing),
        provenance=provenance,
    )


def _say(found: Manifest, draws: int, missing: int, progress: Progress) -> None:
    left_out = f"; {missing} left out, without a label" if missing else ""
    progress.say(
        f"{found.name}: {count_of(draws, 'draw')} for {count_of(len(found), 'query')}{left_out}"
    )


def queried_classes(found: Manifest) -> ClassMap:
    """The classes that `retrieve` used."""
    return ClassMap.parse(found.header.provenance.get("settings", {}).get("classes"))


def _draws(
    found: Manifest,
    classes_of: Mapping[str, str | None],
    rename: Callable[[str | None], str | None],
) -> tuple[list[str | None], list[str], list[str | None]]:
    """For every draw: its query's class, the drawn id, and that utterance's gold class."""
    owners: list[str | None] = []
    drawn: list[str] = []
    for item in found.items:
        pool = item.get("pool")
        if not isinstance(pool, list):
            raise DataError(f"{found.name}: the query {item.get('query')} has no list of draws")
        owners += [rename(item.get("label"))] * len(pool)
        drawn += pool
    return owners, drawn, [classes_of.get(identifier) for identifier in drawn]


def _pool_gold(
    found: Manifest, settings: EvalClassSettings, wanted: str | None, label: str
) -> Gold:
    """The pool's labels: those of --gold, else those in its embedding stores."""
    if settings.gold:
        return gold_labels.read(settings.gold, wanted, label, settings.id_column)
    references = (found.header.stores or {}).get("pool", ())
    paths = [
        artifacts.locate({"role": "pool", **reference.to_dict()}, found.folder, beside=found.path)
        for reference in references
    ]
    try:
        return gold_labels.read(paths, wanted, label)
    except DataError as error:
        raise DataError(
            f"{error}; name a store or a corpus manifest that labels the pool with --gold"
        ) from error
