"""What may follow on a command line: commands, files of the right kind, names from the files that
stand on the line already.

An option's metavar says what it takes: `A.h5`, `M.jsonl|STORE.h5`, `NAME=STORE.h5`, `DIR`,
`COLUMN`, `linear|mlp|NAME`. Nothing here imports torch; files that cannot be read have no names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import Field
from itertools import pairwise
from pathlib import Path
from typing import Any

from click.shell_completion import CompletionItem

from avaffect.cli import catalogue
from avaffect.cli.completion import PATH
from avaffect.cli.main import HELP
from avaffect.core.errors import AvaffectError
from avaffect.settings.outputs import SUFFIXES

# The words of the line before the one that is typed.
Given = Sequence[str]
Source = Callable[[Given], Iterable[str]]
# Suffixes that mean the same.
SAME = {suffix: suffixes for suffixes in SUFFIXES.values() for suffix in suffixes} | {
    ".json": SUFFIXES["report"], ".csv": (".csv", ".tsv"),
}  # fmt: skip
FOLDERS = {"DIR", "FOLDER"}
NO_FILE = ("/",)
ANY_FILE = {"FILE", "GOLD", "MEDIA", "MODEL"}
SUFFIXES_OF = {
    "PREDICTIONS": (*SUFFIXES["manifest"], ".csv", *SUFFIXES["store"]),
    "ARTIFACT": tuple(
        suffix for kind in ("manifest", "store", "checkpoint") for suffix in SUFFIXES[kind]
    ),
    "SOURCE": (*SUFFIXES["manifest"], *SUFFIXES["store"]),
    "RUN": (*SUFFIXES["checkpoint"], ".metrics.jsonl"),
    **dict.fromkeys(("RETRIEVAL", "MANIFEST", "FILTERED"), SUFFIXES["manifest"]),
}


def of_commands(typed: str) -> list[CompletionItem[str]]:
    """Commands with their line of help."""
    names = {name: command.help for name, command in catalogue.every().items()}
    names[HELP] = "What to type first; manual pages."
    return [
        CompletionItem(name, help=help) for name, help in names.items() if name.startswith(typed)
    ]


def of_value(item: Field[Any], given: Given, typed: str) -> list[CompletionItem[str]]:
    """Candidates for an option or argument.

    item: its field in the settings. given: the words before. typed: the beginning of the value.
    """
    metavar = item.metadata["metavar"] or item.name.upper()
    before, rest = "", typed
    # FROM=TO|NAME: names of one's own, or a known one.
    known = [part for part in metavar.split("|") if "=" not in part]
    known = known if item.name in NAMES and "=" in metavar else []
    if known and "=" not in typed:
        metavar = "|".join(known)
    elif known or ("=" in metavar and "=" not in typed and not metavar.startswith("[")):
        # A name of one's own comes first: NAME=COLUMN.
        return []
    elif "=" in metavar and "=" in typed:
        before, equals, rest = typed.rpartition("=")
        before, metavar = before + equals, metavar.rpartition("=")[2]
    done, rest = _last_part(rest, _separators(item, metavar))
    before += done
    named = _named(done)
    found = [CompletionItem(before + name) for name in _names(item, metavar, given)
             if name.startswith(rest) and name not in named]  # fmt: skip
    suffixes = _suffixes(item, metavar)
    if suffixes is not None:
        found += [CompletionItem(before + path, type=PATH) for path in _paths(rest, suffixes)]
    return found


def _separators(item: Field[Any], metavar: str) -> str:
    """What stands between the parts of a list: signs."""
    if metavar == "LIST":
        # anger,happiness=excitement+happiness
        return ",=+" if item.name == "classes" else ","
    return "+" if "+" in metavar else ""


def _last_part(typed: str, separators: str) -> tuple[str, str]:
    """What is typed up to the last separator, and what comes after it."""
    place = max((typed.rfind(sign) + 1 for sign in separators), default=0)
    return typed[:place], typed[place:]


def _named(done: str) -> set[str]:
    """The parts of a list so far, which do not come again; a class may be merged with others under
    its own name."""
    merged = done.rpartition(",")[2].partition("=")
    return set(merged[2].split("+")) if merged[1] else set(re.split("[,+]", done))


def _suffixes(item: Field[Any], metavar: str) -> tuple[str, ...] | None:
    """Of the files that an option takes; empty: any; None: it takes no file."""
    parts = metavar.strip("[]").rpartition("=")[2].split("|")
    named = [part for part in parts if re.search(r"\.\w+$", part)]
    if {*parts} <= FOLDERS:
        return NO_FILE
    if {*parts} & ANY_FILE or item.metadata["role"] == "output":
        return ()
    found = [suffix for part in parts for suffix in SUFFIXES_OF.get(part, ())]
    for part in named:
        suffix = part[part.rindex(".") :]
        found += SAME.get(suffix, (suffix,))
    return tuple(found) or None


def _paths(typed: str, suffixes: tuple[str, ...]) -> Iterator[str]:
    """Folders, with a slash behind, and files of these suffixes, as typed."""
    folder, slash, start = typed.rpartition("/")
    try:
        entries = sorted(
            os.scandir(os.path.expanduser(folder + slash) or "."), key=lambda e: e.name
        )
    except OSError:
        return
    for entry in entries:
        hidden = entry.name.startswith(".") and not start.startswith(".")
        if hidden or not entry.name.startswith(start):
            continue
        if entry.is_dir():
            # The state of a training is no input.
            if not entry.name.endswith(".state"):
                yield f"{folder}{slash}{entry.name}/"
        elif not suffixes or entry.name.lower().endswith(suffixes):
            yield f"{folder}{slash}{entry.name}"


def _names(item: Field[Any], metavar: str, given: Given) -> Iterable[str]:
    """Names that an option takes, besides files."""
    source = _of_files("columns") if metavar == "COLUMN" else NAMES.get(item.name)
    if item.metadata["role"] == "input" and metavar not in ("CORPUS", "MODEL"):
        # A path, whatever its name.
        source = None
    if source is not None:
        try:
            return list(source(given))
        except (AvaffectError, OSError, ValueError):
            return ()
    # linear|mlp|NAME
    parts = metavar.split("|")
    return [part for part in parts if len(parts) > 1 and part.islower() and "." not in part]


def _files(given: Given) -> list[Path]:
    """The files of a line."""
    paths = (Path(word.rpartition("=")[2]).expanduser() for word in given)
    return [path for path in paths if path.is_file()]


def _of_files(read: str) -> Source:
    """Names that a function of recipes/common/names_in_files.py reads from the files of a line."""

    def names(given: Given) -> Iterable[str]:
        from avaffect.recipes.common import names_in_files

        found: Iterable[str] = getattr(names_in_files, read)(_files(given))
        return found

    return names


def _classes(given: Given) -> Iterable[str]:
    from avaffect.recipes.common import names_in_files

    named = [value for flag, value in pairwise(given) if flag == "--label"]
    return (each for name, found in names_in_files.labels(_files(given)).items()
            if name in named or not named for each in found)  # fmt: skip


def _layers(given: Given) -> Iterable[str]:
    from avaffect.recipes.common import names_in_files

    found = names_in_files.structures(_files(given))
    return (str(layer) for each in found for layer in range(1, each.depth + 1))


def _parts(given: Given) -> Iterable[str]:
    from avaffect.recipes.common import names_in_files

    return (part for each in names_in_files.structures(_files(given)) for part in each.parts)


def _in(reference: str, form: str = "{}") -> Source:
    """The names that `module:attribute` lists, or a function without arguments returns."""

    def names(_: Given) -> Iterable[str]:
        listed = catalogue.imported(reference)
        return (form.format(name) for name in (listed() if callable(listed) else listed))

    return names


def _always(*names: str) -> Source:
    return lambda _: names


NAMES: dict[str, Source] = {
    "corpus": _in("avaffect.recipes.common.names_in_files:corpora"),
    "model": _in("avaffect.recipes.encoding.front_ends:FRONT_ENDS"),
    "label": _of_files("labels"),
    "frames_of": _of_files("labels"),
    "stratify": _of_files("labels"),
    "classes": _classes,
    "by": _of_files("fields"),
    "where": _of_files("fields"),
    "map": _in("avaffect.data.label_maps:MAPS"),
    "layer": _layers,
    "freeze": _parts,
    "vectors": _of_files("pooled"),
    "stream": _of_files("vectors_and_streams"),
    "without_features": _of_files("features"),
    "augment": _in("avaffect.settings.augmentation:NAMES"),
    "loss": _in("avaffect.settings.label_losses:LOSSES", "{}="),
    "split": _always("train", "development", "test", "all"),
    "query_split": _always("train", "development", "test", "all"),
    "device": _always("auto", "cpu", "cuda"),
    "backend": _always("loky", "threading", "dask:tcp://"),
    "shard": _always("slurm"),
}
"""Field of the settings -> where its names come from."""
