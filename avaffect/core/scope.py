"""What holds from the beginning to the end of one command, whoever runs it: the command line, the
Python interface, or a command that runs others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from avaffect.core import claims, inputs, progress, unchanged


@contextlib.contextmanager
def of_command(settings: Any, shown: progress.Progress) -> Iterator[None]:
    """A block in which the outputs that are claimed stay claimed, inputs stay the same, long loops
    are shown, and texts are read in the encoding of the settings."""
    with (
        claims.of_command(),
        unchanged.of_command(),
        inputs.of_command(settings),
        progress.of_command(shown),
    ):
        yield
