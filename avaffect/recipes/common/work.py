"""Start of most recipes: the inputs and the provenance of the output."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance, provenance, reference
from avaffect.data import artifacts
from avaffect.data.manifest import Manifest
from avaffect.settings.base import Common, permissions, semantic

# Commands on manifests start without NumPy and h5py.
if TYPE_CHECKING:
    from avaffect.data.store.reader import Store

Input = tuple[str, Path, str]


def store_inputs(role: str, stores: Iterable[Store]) -> list[Input]:
    return [(role, store.path, store.content_id) for store in stores]


def feature_inputs(features: Mapping[str, Store]) -> list[Input]:
    """Named features, each with a role of its own."""
    return [(f"features:{name}", store.path, store.content_id) for name, store in features.items()]


def file_inputs(role: str, paths: Iterable[Path | None], *expected: str) -> list[Input]:
    """Files as inputs, of one of the kinds of `artifacts.describe`; None is skipped."""
    there = [path for path in paths if path is not None]
    return [(role, path, artifacts.content_id_of(path, *expected)) for path in there]


def warn_of_alike(
    what: str,
    classes: Collection[str],
    progress: Progress,
    hint: str | None = None,
    kind: str = "classes",
) -> None:
    """Warn of classes with similar spellings; hint: the option that merges them, by default
    --classes; kind: what they are."""
    # Imported here: commands that have nothing to do start without the readers of tables.
    from avaffect.data.tables import spellings

    groups = spellings.alike(classes)
    if groups:
        words = "; ".join(f"{', '.join(group)} are {len(group)} {kind}" for group in groups)
        progress.warn(
            f"{what}: {words}, though they are spelled alike but for case or signs; "
            f"{hint or spellings.classes_hint(classes)} makes them one"
        )


def manifest_input(role: str, manifest: Manifest, output: Path | None) -> dict[str, Any]:
    """A manifest as an input of `output`.

    A stream has no file to refer to: the reference holds its own provenance.
    """
    if manifest.path is not None:
        return dict(reference(role, manifest.path, manifest.content_id, output))
    return {
        "role": role,
        "path": "",
        "content_id": manifest.content_id,
        "provenance": manifest.header.provenance,
    }


def record(command: str, settings: Common, *inputs: Iterable[Input]) -> Provenance:
    """The provenance of the output of `settings`; inputs: in their order."""
    references = [
        reference(role, path, content, settings.output) for role, path, content in chain(*inputs)
    ]
    return provenance(command, semantic(settings), references, permissions(settings))


def some_of(names: Sequence[str], most: int = 5) -> str:
    """The first of some names, and the number of the others."""
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
