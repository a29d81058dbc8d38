"""Finding transcripts, and reading those of a recording."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from avaffect.core import faults
from avaffect.core.errors import DataError, UsageError
from avaffect.core.hashing import content_id, file_content_id
from avaffect.data.feature_files.tables import name_of
from avaffect.data.names import files_by_name
from avaffect.data.transcripts import subtitles, tables, textgrid
from avaffect.data.transcripts.words import Cue, Transcript, transcript_of

SUFFIXES = (*tables.SUFFIXES, *subtitles.SUFFIXES, *textgrid.SUFFIXES)


@dataclass
class Transcripts:
    """Those at a path: a folder with a file a recording, or a file of one recording or of many.

    files: name of a recording -> file; of a single file {}, where cues has the names of its
    recordings. tier: of TextGrids.
    """

    path: Path
    files: dict[str, Path]
    tier: str | None = None
    _cues: dict[str, list[Cue]] = field(default_factory=dict)
    _own: bool = False

    @property
    def content_id(self) -> str:
        """The identity of the files' content, and of their names in a folder."""
        if not self.path.is_dir():
            return file_content_id(self.path)
        return content_id([[name, file_content_id(file)] for name, file in self.files.items()])

    def names(self) -> list[str]:
        """Of the recordings: of a single file that does not name them its own name.

        Raises DataError as the readers do.
        """
        return list(self.files or self._of_file())

    @property
    def unnamed(self) -> bool:
        """Whether this is a single file that does not name its recording."""
        return not self.files and bool(self._of_file()) and self._own

    def of(self, name: str) -> Transcript:
        """The transcript of one of `names`. Raises DataError as the readers do."""
        if not self.files:
            return transcript_of(self.path, self._of_file()[name])
        file = self.files[name]
        return transcript_of(file, _read(file, self.tier, of_many=False)[""])

    def _of_file(self) -> dict[str, list[Cue]]:
        """Of a single file, name -> cues."""
        if not self._cues:
            found = _read(self.path, self.tier, of_many=True)
            self._own = "" in found
            self._cues = {name or name_of(self.path.stem): cues for name, cues in found.items()}
        return self._cues


def _read(path: Path, tier: str | None, of_many: bool) -> dict[str, list[Cue]]:
    """Name -> cues; the name is "" where the file does not say it. Those of a file without any text
    are none: nothing was said."""
    suffix = path.suffix.lower()
    if not path.read_bytes().strip(b"\xef\xbb\xbf \t\r\n"):
        return {"": []}
    if suffix in subtitles.SUFFIXES:
        return {"": subtitles.read(path)}
    if suffix in textgrid.SUFFIXES:
        return {"": textgrid.read(path, tier)}
    by_name: dict[str, list[Cue]] = {}
    for name, cues in tables.read(path, of_many).items():
        by_name.setdefault(name_of(name), []).extend(cues)
    return by_name or {"": []}


def find(path: Path, tier: str | None = None) -> Transcripts:
    """The transcripts at a path: a file, or those in a folder and below it.

    Raises DataError where there is none or two have one name, UsageError where a tier is named and
    there is no TextGrid.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder of transcripts")
    if not path.is_dir():
        if path.suffix.lower() not in SUFFIXES:
            raise DataError(f"{path}: no transcript by its name; readers: {', '.join(SUFFIXES)}")
        files = {}
    else:
        files = _in_folder(path)
    kinds = {file.suffix.lower() for file in files.values() or [path]}
    if tier is not None and not kinds & {*textgrid.SUFFIXES}:
        raise UsageError(f"--tier {tier}: {path} has no TextGrid")
    return Transcripts(path, files, tier)


def _in_folder(folder: Path) -> dict[str, Path]:
    there = [Path(place) / name for place, _, names in faults.walk(folder) for name in names]
    kept = [p for p in there if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    if not kept:
        raise DataError(f"{folder} has no transcripts ({', '.join(SUFFIXES)})")
    return files_by_name(folder, kept, lambda path: name_of(path.stem), "keep one")
