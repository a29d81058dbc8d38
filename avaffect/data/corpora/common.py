"""Shared by corpus adapters: finding media and tables, and the corpus that they return."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from avaffect.core import faults
from avaffect.core.errors import DataError
from avaffect.core.hashing import content_id
from avaffect.core.nouns import count_of
from avaffect.data.manifest import Item
from avaffect.data.tables import spellings
from avaffect.data.vocabulary import EMOTIONS

# In order of preference: of a recording in several formats, the uncompressed file is read.
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".m4a", ".mp3")
VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".flv")
SUFFIXES = AUDIO_SUFFIXES + VIDEO_SUFFIXES
KINDS: dict[str | None, str] = {"audio": "an audio file", "video": "a video file"}
LFS_POINTER = b"version https://git-lfs"

LabelFacts = dict[str, Any]
Media = str | dict[str, str]


@dataclass
class Corpus:
    """The result of an adapter.

    root      the folder that media paths are relative to
    labels    name -> description in a manifest's header: {"kind": "class", "classes": [...]}
    files     files of the items, media above all, relative to root
    tables    the corpus's own tables that were read
    lost      reason -> names of files or rows that should have become items
    left_out  reason -> names that the adapter leaves out on purpose
    noted     correction of a spelling -> the names that it applied to
    expected  utterances of the whole corpus as published, where that is known
    counted   fields of the items whose values are counted for the user
    """

    name: str
    root: Path
    labels: dict[str, LabelFacts]
    items: list[Item] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    lost: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    left_out: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    noted: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    expected: int | None = None
    counted: tuple[str, ...] = ()

    @property
    def content_id(self) -> str:
        """Identity of the media by relative name and size: all that a manifest can depend on."""
        return content_id([[n, _size(self.root / n)] for n in sorted(set(self.files))])


@dataclass(frozen=True)
class MediaFile:
    """A file whose name follows the corpus's scheme.

    key   its utterance, without the corpus's prefix; the same in all formats of the recording
    role  audio, both (a video file with audio) or video (without)
    item  fields of the utterance, besides id and media
    """

    key: str
    role: str
    item: Item


# An utterance; a reason for leaving the file out on purpose; None where the name does not fit.
Parse = Callable[[PurePosixPath], MediaFile | str | None]


def by_names(
    corpus: Corpus, parse: Parse, example: str, full_name: str, modality: str | None = None
) -> Corpus:
    """Fill `corpus` from the file names under its root, in sorted order of the utterances.

    modality: None or av, all files of an utterance; audio, its audio file; video, its video file.
    An utterance without one is left out. Raises DataError, naming the expected files, where none
    fits.
    """
    files: dict[str, MediaFile] = {}
    forms: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name in media_files(corpus.root, corpus.lost):
        found = parse(PurePosixPath(name))
        if found is None:
            corpus.lost[f"named otherwise than {full_name}'s files ({example})"].append(name)
        elif isinstance(found, str):
            corpus.left_out[found].append(name)
        else:
            files[found.key] = found
            forms[found.key][found.role].append(name)
    if not files:
        raise DataError(
            f"{corpus.root} holds no recordings of {full_name}: looked there and in its folders "
            f"for files named like {example}; found {_found(corpus)}"
        )
    for key in sorted(files):
        media, unused = chosen(forms[key], modality)
        if media is None:
            corpus.left_out[f"without {KINDS[modality]}"].append(key)
            continue
        corpus.files += [media] if isinstance(media, str) else list(media.values())
        if unused:
            corpus.left_out["the same utterance again, in another format or place"] += unused
        corpus.items.append({"id": f"{corpus.name}_{key}", "media": media, **files[key].item})
    if not corpus.items:
        raise DataError(
            f"{corpus.root}: none of {full_name}'s {count_of(len(files), 'utterance')} there has "
            f"{KINDS[modality]}; leave --modality {modality} out"
        )
    return corpus


def role_of(path: PurePosixPath) -> str:
    """audio or both, by the suffix."""
    return "audio" if path.suffix.lower() in AUDIO_SUFFIXES else "both"


def fold_emotions(corpus: Corpus, mapping: Mapping[str, str]) -> None:
    """Replace spellings of emotions that differ in case alone, but those that a user mapped to."""
    folded: set[str] = set()
    for item in corpus.items:
        name = item["labels"].get("emotion")
        if name is not None and name not in mapping.values() and spellings.canonical(name) != name:
            folded.add(name)
            item["labels"]["emotion"] = spellings.canonical(name)
    for name in sorted(folded):
        corpus.noted["emotion"].append(f"{name} is {spellings.canonical(name)}")


def emotion_classes(names: set[str]) -> list[str]:
    """Class names in the toolkit's order of emotions, then others by the alphabet."""
    return [name for name in EMOTIONS if name in names] + sorted(names - set(EMOTIONS))


def find_table(name: str, *folders: Path | None) -> Path | None:
    """The first file with this name in the folders or below them."""
    for folder in folders:
        if folder is None:
            continue
        if (folder / name).is_file():
            return folder / name
        found = next((f for f in _walk(folder) if f.name == name), None)
        if found is not None:
            return folder / found
    return None


def find_tables(pattern: str, folder: Path) -> list[tuple[re.Match[str], Path]]:
    """Files in the folder or below it whose path, with slashes, ends with `pattern`; and the match.
    The folder itself may be one that the pattern names."""
    found = []
    for name in _walk(folder):
        match = re.search(f"(?:^|/)(?:{pattern})$", (folder.resolve() / name).as_posix())
        if match is not None:
            found.append((match, folder / name))
    return found


def _found(corpus: Corpus) -> str:
    """The content of a folder that is not the corpus."""
    others = [name for reasons in (corpus.lost, corpus.left_out) for n in reasons.values()
              for name in n]  # fmt: skip
    if not others:
        return "no audio and no video file at all"
    return f"{count_of(len(others), 'other')}, such as {others[0]}"


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _walk(folder: Path) -> Iterator[PurePosixPath]:
    """Files below `folder`, relative to it, in sorted order; hidden ones are left out.

    Links to folders are followed, each folder once: corpora on clusters are often linked together.
    """
    if not folder.is_dir():
        what = "a file, not a folder" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: {what}; name the folder that the corpus was unpacked into")
    visited: set[str] = set()
    for parent, folders, files in faults.walk(folder):
        real = os.path.realpath(parent)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield PurePosixPath(Path(parent, name).relative_to(folder).as_posix())


def media_files(folder: Path, lost: dict[str, list[str]]) -> list[str]:
    """The recordings below a folder by their suffixes, as paths from there, sorted; those that are
    no files with a readable name are added to `lost` by their reason."""
    found = []
    for path in _walk(folder):
        if path.suffix.lower() not in SUFFIXES:
            continue
        if not is_text(str(path)):
            lost["the name is not UTF-8"].append(ascii(str(path)))
        elif not (folder / path).exists():
            lost["a link to nothing (git-annex: run `git annex get`)"].append(str(path))
        elif _is_pointer(folder / path):
            lost["a Git LFS pointer instead of the recording (run `git lfs pull`)"].append(
                str(path)
            )
        else:
            found.append(str(path))
    return found


def is_text(name: str) -> bool:
    """Whether a name of a file is UTF-8: others cannot be written to a manifest."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_pointer(path: Path) -> bool:
    if not path.is_file() or path.stat().st_size > 1024:
        return False
    with path.open("rb") as stream:
        return stream.read(len(LFS_POINTER)) == LFS_POINTER


def chosen(forms: dict[str, list[str]], modality: str | None) -> tuple[Media | None, list[str]]:
    """The recording of an utterance, or its audio and video files; and the files that are not
    needed. forms: role -> its files; modality: see `by_names`."""

    def preference(name: str) -> tuple[int, int, str]:
        path = PurePosixPath(name)
        return SUFFIXES.index(path.suffix.lower()), len(path.parts), name

    audio = sorted(forms.get("audio", []), key=preference)
    film = sorted(forms.get("both", []), key=preference)
    silent = sorted(forms.get("video", []), key=preference)
    if modality == "audio":
        return (audio[0] if audio else None), audio[1:]
    if modality == "video":
        alone = silent + film
        return (alone[0] if alone else None), alone[1:]
    film += silent
    if audio and film:
        return {"audio": audio[0], "video": film[0]}, audio[1:] + film[1:]
    alone = audio or film
    return alone[0], alone[1:]
