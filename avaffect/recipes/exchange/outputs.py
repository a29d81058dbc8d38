"""Outputs of `export`: a file, or a folder with a mark of its own, whole or not at all."""

from __future__ import annotations

import filecmp
import json
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from avaffect.core import claims, plain_json
from avaffect.core.atomic import flush, publish, umask, workspace
from avaffect.core.errors import OutputExistsError, UsageError
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance, identity
from avaffect.core.writing import writing
from avaffect.data.exchange.reading import MARK
from avaffect.recipes.common import publishing
from avaffect.settings.export import ExportSettings

Write = Callable[[Path], None]
# Module -> package that has it.
PACKAGES = {"yaml": "pyyaml"}


def check_packages(settings: ExportSettings, modules: tuple[str, ...]) -> None:
    """Raises UsageError where a package is missing that the format needs."""
    lacking = [PACKAGES.get(name, name) for name in modules if find_spec(name) is None]
    if lacking:
        raise UsageError(
            f"--to {settings.to} needs {' and '.join(lacking)}: python -m pip install "
            "-c constraints.txt -e '.[exchange]' installs what all formats need"
        )


def write_file(
    settings: ExportSettings, made: Provenance, progress: Progress, write: Write,
    is_same: Callable[[Path], bool] | None = None,
) -> bool:  # fmt: skip
    """Write the output by `write(path)`; False where it is there already, or in a dry run.

    is_same: whether a file is that output; by default whether it has the same bytes. Raises as
    `publishing.is_current`.
    """
    output = settings.output
    if not output.exists() and publishing.is_dry(settings, progress, f"write {settings.to}"):
        return False
    with workspace(output) as folder:
        temporary = folder / output.name

        def has_same_bytes(path: Path) -> bool:
            write(temporary)
            return filecmp.cmp(path, temporary, shallow=False)

        same = is_same or has_same_bytes
        if publishing.is_current(
            settings, made, progress, is_same=same, differs="has another content"
        ) or publishing.is_dry(settings, progress, f"write {settings.to}"):
            return False
        write(temporary)
        publish(temporary, output)
    return True


def write_folder(
    settings: ExportSettings, made: Provenance, progress: Progress, write: Write,
    facts: dict[str, Any],
) -> bool:  # fmt: skip
    """Write the files of the output folder by `write(folder)`, and beside them a mark with its
    provenance and `facts`; False where it is there already, or in a dry run.

    Raises OutputExistsError where the folder was written by another program, or holds another
    export and --force is not given.
    """
    output = settings.output
    if _is_current(settings, made, progress):
        return False
    if publishing.is_dry(settings, progress, f"write {settings.to}"):
        return False
    # Another process may have made it until it was claimed.
    if claims.claim(output, progress.say) and _is_current(settings, made, progress):
        return False
    with workspace(output) as folder:
        new, old = folder / "new", folder / "old"
        new.mkdir()
        with writing(output):
            write(new)
            said = {"provenance": made, **facts, "files": _files(new)}
            mark = json.dumps(said, ensure_ascii=False, indent=1) + "\n"
            (new / MARK).write_text(mark, encoding="utf-8")
            for path in (new, *sorted(new.rglob("*"))):
                # Libraries write files that nobody else may read.
                os.chmod(path, (0o777 if path.is_dir() else 0o666) & ~umask())
                flush(path)
            claims.check(output)
            if output.exists():
                os.replace(output, old)
            os.replace(new, output)
            flush(output.parent)
    return True


def _is_current(settings: ExportSettings, made: Provenance, progress: Progress) -> bool:
    output = settings.output
    if not output.exists():
        return False
    if not output.is_dir():
        raise UsageError(f"{output} is a file; --to {settings.to} writes a folder: name another")
    if not any(output.iterdir()):
        return False
    known = _identity(output / MARK)
    if known is None:
        raise OutputExistsError(
            f"{output} is a folder that export did not write; name another, which it makes"
        )
    if known == identity(made) and not settings.force:
        if not settings.dry_run:
            os.utime(output / MARK)
            publishing.tidy(output)
        progress.say(f"{output} is up to date")
        return True
    if not settings.force:
        raise OutputExistsError(
            f"{output} exists and was made from other inputs or settings; name another output, or "
            "overwrite it with --force"
        )
    written = plain_json.parse((output / MARK).read_bytes()).get("files", _files(output))
    others = {*_files(output)} - {*written, MARK}
    if others:
        raise OutputExistsError(
            f"{output} holds what export did not write, which --force would delete: "
            f"{', '.join(sorted(others)[:3])}; move it, or name another output"
        )
    return False


def _files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())


def _identity(mark: Path) -> str | None:
    """Of the provenance in a mark; None where there is none."""
    try:
        return identity(plain_json.parse(mark.read_bytes())["provenance"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
