"""Labels and fields of utterances by id, or by the name of their recording, from a corpus manifest
or a store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from avaffect.data import artifacts, manifest
from avaffect.data.items import audio_of, label_specs, labels_of, meta_fields, video_of
from avaffect.data.store.reader import Store
from avaffect.data.store.schema import LabelSpec
from avaffect.data.tables.locating import with_slashes
from avaffect.recipes.common.copied_metadata import Carried
from avaffect.recipes.common.source_recordings import SOURCE

# For the name of a recording with several utterances.
SEVERAL = -1


@dataclass(frozen=True)
class Annotated:
    """ids: of the described utterances; specs: their labels; labels, fields: of a row, as
    `StoreWriter.add` takes them; rows, recordings: id, and recording's name without suffix ->
    row."""

    path: Path
    ids: Sequence[str]
    specs: dict[str, LabelSpec]
    labels: Callable[[int], dict[str, Any]]
    fields: Callable[[int], dict[str, Any]]
    rows: dict[str, int] = field(default_factory=dict)
    recordings: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Annotated:
        """The labels of a corpus manifest or a store; DataError where it is neither, or is
        damaged."""
        if artifacts.kind_of(path) == "store":
            return cls._of_store(path)
        whole = manifest.read(path, expect="corpus")
        items, specs = whole.items, label_specs(whole)
        columns = meta_fields(items)
        found = cls(
            path,
            [item["id"] for item in items],
            specs,
            lambda row: labels_of(items[row], specs),
            lambda row: {name: values[row] for name, values in columns.items()},
        )
        return found._indexed([{audio_of(item), video_of(item)} for item in items])

    @classmethod
    def _of_store(cls, path: Path) -> Annotated:
        store = Store(path)
        carried = Carried(store)
        found = cls(path, store.ids, store.labels, carried.labels_of, carried.fields_of)
        return found._indexed([{str(name)} for name in store.meta.get(SOURCE, ())])

    def _indexed(self, recordings: Sequence[set[str]]) -> Annotated:
        self.rows.update((identifier, row) for row, identifier in enumerate(self.ids))
        for row, paths in enumerate(recordings):
            for name in {PurePosixPath(with_slashes(path)).stem for path in paths if path}:
                self.recordings[name] = SEVERAL if name in self.recordings else row
        return self

    def row_of(self, name: str) -> int | None:
        """The row of this id; where there is no such id, of the one utterance with this recording;
        None without one."""
        row = self.rows.get(name, self.recordings.get(name))
        return None if row == SEVERAL else row
