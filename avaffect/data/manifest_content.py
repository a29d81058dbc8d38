"""The content id of a manifest, made item by item: also of one whose items are not all kept."""

from __future__ import annotations

import hashlib
from typing import Any

from avaffect.core.hashing import canonical_json
from avaffect.core.headers.manifest import VERSION, ManifestHeader


class ContentHash:
    """Hash of a manifest's content, without the location of its files (base, paths)."""

    def __init__(self, header: ManifestHeader) -> None:
        stores = {
            role: [store.content_id for store in stores]
            for role, stores in (header.stores or {}).items()
        }
        semantic = {
            key: value
            for key, value in header.to_dict().items()
            if key not in ("base", "stores", "provenance", "filtered")
        }
        # The content is the same in every minor version.
        semantic["version"] = f"{VERSION.split('.')[0]}.0"
        self._state = hashlib.sha256(canonical_json([semantic, stores]).encode())

    def add(self, item: dict[str, Any]) -> None:
        self._state.update(b"\n")
        self._state.update(canonical_json(item).encode())

    @property
    def content_id(self) -> str:
        return "sha256:" + self._state.hexdigest()
