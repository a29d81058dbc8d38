"""What the items of a manifest must have: ids, labels and paths of media."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from avaffect.core.errors import DataError
from avaffect.core.hashing import canonical_json
from avaffect.core.shown import is_plain
from avaffect.data.vocabulary import SPLITS

if TYPE_CHECKING:
    from avaffect.data.manifest import Manifest

# Keys of items that name an utterance.
IDS = ("id", "query")


def check_id(identifier: Any, name: str) -> None:
    """Raises DataError for an id, of the file `name`, with a control character."""
    if isinstance(identifier, str) and not is_plain(identifier):
        raise DataError(
            f"{name}: the id {identifier!r} has a control character, which ids must not have; "
            "rename it"
        )


def check_items(manifest: Manifest) -> None:
    """Raises DataError for a missing or duplicate id or one with control characters, and for
    invalid labels or media paths."""
    for item in manifest.items:
        for key in IDS:
            check_id(item.get(key), manifest.name)
    if manifest.content != "corpus":
        return
    seen: set[str] = set()
    for item in manifest.items:
        identifier = item.get("id")
        if not isinstance(identifier, str) or not identifier:
            raise DataError(f"{manifest.name}: an item has no id: {canonical_json(item)[:120]}")
        if identifier in seen:
            raise DataError(f"{manifest.name}: the id {identifier} occurs twice; ids are unique")
        seen.add(identifier)
        for key, kinds in (("labels", dict), ("media", (str, dict))):
            if key in item and not isinstance(item[key], kinds):
                raise DataError(f"{manifest.name}: {key} of {identifier} is {item[key]!r}")
        media = item.get("media", "")
        paths = [media] if isinstance(media, str) else media.values()
        if any("\0" in str(path) for path in (*paths, manifest.header.base)):
            raise DataError(f"{manifest.name}: the path of {identifier} has a NUL, which none has")
        if item.get("split") not in (None, *SPLITS):
            raise DataError(
                f"{manifest.name}: the split of {identifier} is {item['split']!r}; it must be one "
                f"of {', '.join(SPLITS)}"
            )
        fold = item.get("fold")
        if fold is not None and not str(fold).isdecimal():
            raise DataError(f"{manifest.name}: the fold of {identifier} is {fold!r}")
