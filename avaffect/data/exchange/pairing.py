"""Which recording annotations are of: the one in their place, or the only one of their name."""

from __future__ import annotations

import itertools
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from avaffect.core.errors import DataError
from avaffect.core.nouns import count_of
from avaffect.data.corpora.common import Media, chosen, media_files, role_of
from avaffect.data.exchange.reading import Found
from avaffect.data.tables.texts import nfc


@dataclass(frozen=True)
class Paired:
    """media: of an utterance; name: for the ids of those that have none of their own."""

    media: Media
    name: str


@dataclass
class Recordings:
    """Those below a root, by their paths without suffix: keys, "s1/take".

    forms: key -> role -> files: sound and film of one key are one recording; keys: stem, or path
    with _ between its parts as `export` names annotations -> keys; stems: of the annotations.
    """

    found: Found
    forms: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    keys: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    stems: Counter[str] = field(default_factory=Counter)
    # A file of turns names a recording in each line.
    _known: dict[tuple[str, Path], str | None] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Found) -> Recordings:
        """The recordings below `found.root`, for the annotations in `found.tables`."""
        this = cls(found)
        for name in media_files(found.root, found.lost):
            path = PurePosixPath(name)
            key = nfc(path.with_suffix("").as_posix())
            if key not in this.forms:
                this.forms[key] = defaultdict(list)
                this.keys[nfc(path.stem)].append(key)
            this.forms[key][role_of(path)].append(name)
            # A file at the top has its own name so, which is a stem as well.
            if "_".join(path.parts) != path.stem:
                this.keys[nfc("_".join(path.parts))].append(key)
        this.stems.update(nfc(path.stem) for path in found.tables)
        return this

    def pair(self, name: str, file: Path, links: Sequence[str] = ()) -> Paired | None:
        """The recording that `file` calls `name`; None, and it is lost, where there is none.

        In this order: a recording that the file links to, in its place; the one in the folder of
        the file, or in a folder of that path below the root; the only one of the name. links: paths
        or names that the file has of its recording; of those, one whose last folders agree.

        Raises DataError where several have the name, or several files might be of one recording.
        """
        if (name, file) not in self._known:
            self._known[name, file] = self._key(name, file, links)
        key = self._known[name, file]
        if key is None:
            self.found.lose(f"no recording of this name below {self.found.root} (--root)", name)
            return None
        media, unused = chosen(self.forms[key], None)
        assert media is not None
        if unused:
            again = self.found.left_out["the same recording again, in another format"]
            again += [path for path in unused if path not in again]
        alone = len(self.keys[PurePosixPath(key).name]) == 1 and self.stems[nfc(name)] < 2
        return Paired(media, name if alone else key)

    def _key(self, name: str, file: Path, links: Sequence[str]) -> str | None:
        places = self._places(file)
        for link in links:
            there = [os.path.join(file.parent, link), link]
            known = [key for path in there if (key := self._below(Path(path))) in self.forms]
            if known:
                return known[0]
        named = [*(PurePosixPath(link).stem for link in links), name]
        for one in map(nfc, named):
            beside = next((key for place in places if (key := place + one) in self.forms), None)
            if beside is not None:
                return beside
        for link in links:
            agreeing = self._agreeing(link)
            if agreeing is not None:
                return agreeing
        several = ""
        for one in map(nfc, named):
            keys = self.keys.get(one, [])
            if len(keys) == 1:
                same = self._of_one_name(file) if one == nfc(name) else [file]
                if any(keys[0] == place + one for own in same for place in self._places(own)):
                    # It is in the place of another file, and that of this one is not there.
                    return None
                if same[1:]:
                    raise DataError(
                        f"{' and '.join(map(str, same[:3]))}: {self._shown(keys)} alone has this "
                        "name, and is in no folder of these names; name the folder of the "
                        "recordings with --root, or keep one file"
                    )
                return keys[0]
            several = several or (one if keys else "")
        if several:
            raise DataError(
                f"{file}: {count_of(len(self.keys[several]), 'recording')} below {self.found.root} "
                f"are called {several}: {self._shown(self.keys[several])}; put the annotations in "
                "folders of the same names, or beside the recordings"
            )
        return None

    def _places(self, file: Path) -> list[str]:
        """Folders of recordings, "" or with a slash at the end, that the folder of a file may be:
        itself, or the one at its path below the root."""
        source = self.found.settings.source
        top = source if source.is_dir() else source.parent
        relative = file.parent.relative_to(top).as_posix()
        found = [self._below(file.parent / "x").removesuffix("x"), f"{nfc(relative)}/"]
        return ["" if place == "./" else place for place in found]

    def _below(self, path: Path) -> str:
        """The key of a file below the root."""
        try:
            relative = os.path.relpath(path, self.found.root)
        except ValueError:
            # A path of other bytes, or of another drive.
            return ""
        return nfc(PurePosixPath(relative).with_suffix("").as_posix())

    def _agreeing(self, link: str) -> str | None:
        """Of several recordings of a link's name, the one with most of its last folders."""
        parts = nfc(PurePosixPath(link).with_suffix("").as_posix()).split("/")[::-1]

        def same(key: str) -> int:
            pairs = zip(key.split("/")[::-1], parts)
            return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))

        keys = sorted(self.keys.get(parts[0], []), key=same, reverse=True)
        if len(keys) < 2 or same(keys[0]) == same(keys[1]):
            return None
        return keys[0]

    def _of_one_name(self, file: Path) -> list[Path]:
        """The files of annotations with the name of this one."""
        if self.stems[nfc(file.stem)] < 2:
            return [file]
        return [path for path in self.found.tables if nfc(path.stem) == nfc(file.stem)]

    def _shown(self, keys: Sequence[str]) -> str:
        return ", ".join(min(min(own) for own in self.forms[key].values()) for key in keys[:3])
