"""The manual pages: where they are, and how they are shown.

They lie in man/ of a checkout, and beside an installed package as files of its distribution
(share/man of the environment), where man(1) finds them as soon as the environment is active.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import click

from avaffect.core.errors import UsageError
from avaffect.core.near import meant

CHECKOUT = Path(__file__).resolve().parent.parent.parent / "man"
PREFIX = "avaffect-"
# man is a stub in images without documentation; a real one formats by one of these.
FORMATTERS = ("groff", "mandoc")


@cache
def every() -> dict[str, Path]:
    """`finetune.1` -> its page: commands (1), formats (5), guides (7), and `avaffect.1`."""
    found = sorted(CHECKOUT.glob("avaffect*.[157]")) or _installed()
    return {path.name.removeprefix(PREFIX): path for path in found}


def _installed() -> list[Path]:
    from importlib.metadata import PackageNotFoundError, files

    try:
        listed = files("avaffect") or ()
    except PackageNotFoundError:
        listed = ()
    return sorted(
        Path(str(file.locate())).resolve() for file in listed if file.match("man/man?/avaffect*.?")
    )


def topics() -> list[str]:
    """What `avaffect help` takes: commands, guides and formats; `manifest`, which is a command and
    a format, is `manifest.5` as the latter."""
    names: dict[str, None] = {}
    # Commands before guides before formats, and the page of all first.
    for key in sorted(every(), key=lambda key: ("175".index(key[-1]), key != "avaffect.1", key)):
        name = key.rpartition(".")[0]
        names[key if name in names else name] = None
    return list(names)


def find(topic: str) -> Path | None:
    """The page of a topic, spelled `finetune`, `avaffect-finetune`, `finetune.1` or
    `avaffect-finetune(1)`; None if there is none."""
    name = topic.replace("(", ".").rstrip(")").removeprefix(PREFIX)
    for key in (name, *(f"{name}.{section}" for section in "175")):
        if key in every():
            return every()[key]
    return None


def unknown(topic: str, commands: list[str]) -> UsageError:
    """The error for a topic without a page."""
    if not every():
        return UsageError(
            f"help {topic}: the manual pages are not installed; avaffect {topic} --help lists the "
            "options"
        )
    known = [*topics(), *commands]
    return UsageError(
        f"help {topic}: no such manual; avaffect --help lists the commands{meant(topic, known)}"
    )


def show(page: Path) -> None:
    """A page in the terminal's pager, by man(1) where it is; as plain text elsewhere."""
    has_man = shutil.which("man") and any(map(shutil.which, FORMATTERS))
    # A path has a slash, so that man takes it for a file.
    if sys.stdout.isatty() and has_man and not subprocess.run(["man", str(page)]).returncode:
        return
    from avaffect.cli.roff import plain

    width = min(shutil.get_terminal_size().columns, 100) if sys.stdout.isatty() else 80
    text = plain(page.read_text("utf-8"), width)
    if sys.stdout.isatty():
        os.environ.setdefault("LESS", "-R")
        click.echo_via_pager(text)
    else:
        click.echo(text, nl=False)
