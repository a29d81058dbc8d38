"""Look-up of the files that a table names, with any path separator and any Unicode form."""

from __future__ import annotations

import os
import shlex
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from avaffect.data.tables.texts import nfc

# Number of missing files that are searched for elsewhere.
_TRIED = 100

_Names = dict[str, list[str]]


def with_slashes(text: str) -> str:
    """A Windows path with slashes in place of backslashes."""
    return text.replace("\\", "/")


class Files:
    """Looks up files below a folder; each folder is listed once."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._found: dict[str, str | None] = {}
        self._listed: dict[str, tuple[_Names, _Names]] = {}

    def find(self, text: str) -> str | None:
        """The path of the existing file that a text names, as it is spelled on the disk, or None.

        Tried in this order: the text as it is; with slashes in place of backslashes; in another
        Unicode form (macOS decomposes accents); in another case, if only one file matches.
        """
        if text not in self._found:
            self._found[text] = self._find(text)
        return self._found[text]

    def elsewhere(self, missing: Sequence[str]) -> str | None:
        """Where missing files are instead, and the change that finds them; None if nowhere."""
        here = [path for path in missing if os.path.isfile(with_slashes(path))]
        if here:
            return f"{here[0]} is in the current folder: use --root ."
        # A table that lies beside the folder of its recordings.
        listed = sorted(name for alike in self._names(self._root)[0].values() for name in alike)
        below = (os.path.normpath(os.path.join(self._root, name)) for name in listed)
        for folder in filter(os.path.isdir, below):
            inside = Files(Path(folder))
            there = next((path + inside.suffix_of(path) for path in missing[:_TRIED]
                          if inside.find(path) or inside.suffix_of(path)), None)  # fmt: skip
            if there is not None:
                return f"{there} is in {folder}: use --root {shlex.quote(folder)}"
        for path in missing[:_TRIED]:
            suffix = self.suffix_of(path)
            if suffix:
                return f"{path}{suffix} exists: add {suffix} to the paths"
            parts = with_slashes(path).split("/")
            for count in range(1, len(parts)):
                end = "/".join(parts[count:])
                if end and self.find(end):
                    return f"{end} exists: remove {path[: len(path) - len(end)]} from the paths"
        return None

    def suffix_of(self, text: str) -> str:
        """What a path that names no file lacks; "" if nothing, or one of several suffixes."""
        folder, _, stem = nfc(with_slashes(text)).rpartition("/")
        listed = self._names(os.path.join(self._root, folder))[0]
        found = [name[len(stem) :] for name in listed if name.startswith(f"{stem}.")]
        return found[0] if stem and len(found) == 1 and not self.find(text) else ""

    def _find(self, text: str) -> str | None:
        path = with_slashes(text)
        for spelled in (text, path):
            if os.path.isfile(os.path.join(self._root, spelled)):
                return spelled
        found = "/" if path.startswith("/") else ""
        for part in filter(None, path.split("/")):
            known = part
            if part not in (".", ".."):
                alike, in_any_case = self._names(os.path.join(self._root, found))
                names = alike.get(nfc(part)) or in_any_case.get(nfc(part).casefold(), [])
                if len(names) != 1:
                    return None
                known = names[0]
            found = os.path.join(found, known)
        return found if os.path.isfile(os.path.join(self._root, found)) else None

    def _names(self, folder: str) -> tuple[_Names, _Names]:
        """NFC -> names in a folder, and NFC without case -> names."""
        if folder not in self._listed:
            try:
                names = os.listdir(folder)
            except (FileNotFoundError, NotADirectoryError):
                names = []
            exact, folded = defaultdict(list), defaultdict(list)
            for name in names:
                exact[nfc(name)].append(name)
                folded[nfc(name).casefold()].append(name)
            self._listed[folder] = dict(exact), dict(folded)
        return self._listed[folder]
