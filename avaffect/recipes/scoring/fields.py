"""Fields of utterances, such as sex, age or corpus, by which scores are grouped."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.near import meant
from avaffect.core.progress import Progress
from avaffect.core.provenance import of_role
from avaffect.data import artifacts, manifest
from avaffect.data.corpora import CORPORA
from avaffect.data.manifest import Item, Manifest
from avaffect.data.store.reader import Store
from avaffect.data.tables.numerals import as_float
from avaffect.recipes.common import work
from avaffect.recipes.scoring import gold_names, table_columns
from avaffect.recipes.scoring.matching import IDENTITIES

CORPUS = "corpus"
UNKNOWN = "unknown"
# A field with more numbers than this is divided into quarters.
MOST_NUMBERS = 8
QUARTERS = 4


@dataclass(frozen=True)
class Field:
    """value_of: id -> value, UNKNOWN where there is none; values: those that occur, in order."""

    name: str
    value_of: Mapping[str, str]
    values: tuple[str, ...]


def read(
    names: Sequence[str],
    ids: Sequence[str],
    items: Iterable[Item],
    files: Sequence[Path],
    id_column: str | None = None,
) -> list[Field]:
    """Each field of the utterances `ids`: of the items, else of the files (corpus manifests, stores
    and tables, by id); the corpus also from the beginning of an id that an adapter gave.
    id_column: of ids in tables, None for a usual name.

    A field of more than eight numbers is divided into quarters of about as many utterances. Raises
    DataError for a field that nothing has.
    """
    found: dict[str, dict[str, Any]] = {name: {} for name in names}
    own = list(items)
    known: set[str] = set()
    for of_items in (own, *(_of_file(path, names, ids, id_column) for path in files)):
        for item in of_items:
            known |= item.keys() | (item.get("labels") or {}).keys()
            for name, values in found.items():
                value = item.get(name)
                value = (item.get("labels") or {}).get(name) if value is None else value
                if value is not None and value != "":
                    values.setdefault(item["id"], value)
    for name, values in found.items():
        if name == CORPUS:
            for identifier in ids:
                values.setdefault(identifier, corpus_of(identifier))
        there = [values[i] for i in ids if values.get(i) is not None]
        if not there:
            have = ", ".join(sorted(known - {"id", "kind", "labels", "gold", "prediction"}))
            have = have or "none"
            raise DataError(
                f"--by {name}: no scored utterance has this field (there are: {have}); a store, a "
                "corpus manifest or a table that has it goes with "
                f"--gold{meant(name, known - {name})}"
            )
    return [_field(name, ids, values) for name, values in found.items()]


def corpus_of(identifier: str) -> str | None:
    """Ids of adapters begin with the corpus; others may begin with anything."""
    start = identifier.partition("_")[0]
    return start if start in CORPORA else None


def behind(found: Manifest, progress: Progress) -> list[Path]:
    """The stores that predictions were made from, where they are still there."""
    if found.path is None:
        return []
    paths = []
    for parent in of_role(found.header.provenance, "media"):
        try:
            paths.append(artifacts.locate_parent(parent, found.path))
        except DataError as error:
            progress.detail(f"{found.name}: {error}")
    return paths


def warn_of_groups(
    file: str, field: Field, small: Sequence[str], few: int, progress: Progress
) -> None:
    """Warn of groups with fewer than `few` utterances, or recordings (`small`), and of groups
    that are one but for the spelling."""
    if field.name not in IDENTITIES:
        hint = f"one spelling in the predictions, or in the file that has {field.name},"
        work.warn_of_alike(f"{file}: {field.name}", field.values, progress, hint, "groups")
    if small:
        progress.warn(
            f"{file}: fewer than {few} of {field.name} {work.some_of(list(small))}: their scores "
            "say little"
        )


def _of_file(
    path: Path, names: Sequence[str], ids: Sequence[str], id_column: str | None
) -> Iterator[Item]:
    """Fields and class labels of each utterance, by its id, and where `ids` are others by names of
    its recording; of a table the fields of these names. Of another kind of file: none."""
    if path == manifest.STANDARD_STREAM or path.is_dir():
        return
    if artifacts.is_table(path):
        yield from table_columns.fields(path, names, id_column)
        return
    own: Sequence[str]
    item_of: Callable[[int], Item]
    if artifacts.kind_of(path) != "store":
        items = manifest.read(path).items
        own, item_of = [item.get("id", "") for item in items], items.__getitem__
        names_of = partial(gold_names.in_manifest, items)
    else:
        store = Store(path)
        own, item_of = store.ids, _rows_of(store)
        names_of = partial(gold_names.in_store, store)
    yield from map(item_of, range(len(own)))
    lacking = {*ids}.difference(own)
    if lacking and len({*own}) == len(own):
        # As gold labels are matched.
        places = range(len(own))
        row_of = gold_names.joined([(path, dict(zip(own, places)), names_of(places))])
        yield from ({**item_of(row_of[i]), "id": i} for i in lacking if i in row_of)


def _rows_of(store: Store) -> Callable[[int], Item]:
    """The item of a row."""
    columns: dict[str, list[Any]] = {
        name: values if isinstance(values, list) else np.asarray(values).tolist()
        for name, values in store.meta.items()
    }
    for name, spec in store.labels.items():
        if spec.kind == "class":
            codes = store.label(name).tolist()
            columns.setdefault(name, [spec.classes[k] if k >= 0 else None for k in codes])
    ids = store.ids
    return lambda row: {"id": ids[row], **{name: of[row] for name, of in columns.items()}}


def _field(name: str, ids: Sequence[str], values: Mapping[str, Any]) -> Field:
    of = {i: values.get(i) for i in ids}
    numbers = {i: float(of[i] or 0) for i in ids if _is_number(of[i])}
    texts = {i: str(v) for i, v in of.items() if i not in numbers and _is_text(v)}
    written_numbers = _numbers(texts.values())
    if written_numbers is not None and len({*written_numbers}) > MOST_NUMBERS:
        # Fields of tables are texts.
        numbers |= dict(zip(texts, written_numbers))
        texts = {}
    if texts or name in IDENTITIES or len(set(numbers.values())) <= MOST_NUMBERS:
        written = texts | {i: f"{number:g}" for i, number in numbers.items()}
        order = sorted(set(texts.values())) or [f"{n:g}" for n in sorted(set(numbers.values()))]
        order += sorted({*written.values()} - {*order})
    else:
        written, order = _quarters(numbers)
    if len(written) < len(of) and UNKNOWN not in order:
        order = [*order, UNKNOWN]
    return Field(name, {i: written.get(i, UNKNOWN) for i in of}, tuple(order))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _numbers(texts: Iterable[str]) -> list[float] | None:
    """None where one is no number, or has zeros before it, as names have."""
    found = []
    for text in texts:
        try:
            found.append(math.nan if re.match(r"[+-]?0\d", text) else as_float(text))
        except ValueError:
            return None
    return found if all(map(math.isfinite, found)) else None


def _is_text(value: Any) -> bool:
    return value is not None and not isinstance(value, (float, dict, list))


def _quarters(numbers: Mapping[str, float]) -> tuple[dict[str, str], list[str]]:
    """Equal numbers are never divided."""
    ordered = np.sort(list(numbers.values()))
    bounds = np.unique(np.quantile(ordered, np.arange(1, QUARTERS) / QUARTERS))
    place = {i: int(np.searchsorted(bounds, n, side="left")) for i, n in numbers.items()}
    names = {}
    for quarter in sorted(set(place.values())):
        of = [numbers[i] for i, k in place.items() if k == quarter]
        names[quarter] = f"{min(of):.6g} to {max(of):.6g}"
    return {i: names[quarter] for i, quarter in place.items()}, list(names.values())
