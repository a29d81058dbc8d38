"""Files that a table names, whatever separates folders and however letters are encoded."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from avaffect.data.texts import nfc


def with_slashes(text: str) -> str:
    """A path as Windows writes it, with slashes between its folders."""
    return text.replace("\\", "/")


class Files:
    """Looks up files below a folder; what a folder holds is listed once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._listed: dict[Path, list[str]] = {}

    def find(self, text: str) -> str | None:
        """The path of an existing file that a text means, as it is spelled on the disk; None where
        there is none.

        Tried in this order: the text as it is; with slashes in place of backslashes; in another
        Unicode form (macOS takes accents apart); in another case, where one file alone fits.
        """
        for path in dict.fromkeys((text, with_slashes(text))):
            if (self.root / path).is_file():
                return path
        return self._alike(PurePosixPath(with_slashes(text)))

    def _alike(self, path: PurePosixPath) -> str | None:
        found = PurePosixPath("/" if path.is_absolute() else ".")
        for part in path.parts[path.is_absolute() :]:
            if part != "..":
                names = self._names(self.root / found)
                same = [name for name in names if nfc(name) == nfc(part)] or [
                    name for name in names if nfc(name).casefold() == nfc(part).casefold()
                ]
                if len(same) != 1:
                    return None
                part = same[0]
            found /= part
        return str(found) if (self.root / found).is_file() else None

    def _names(self, folder: Path) -> list[str]:
        if folder not in self._listed:
            try:
                self._listed[folder] = [entry.name for entry in folder.iterdir()]
            except OSError:
                self._listed[folder] = []
        return self._listed[folder]
