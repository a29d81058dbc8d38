"""Pictures by matplotlib as files: PNG, SVG, PDF, the same bytes whenever they are drawn."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from avaffect.core.errors import UsageError
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance
from avaffect.recipes.common import publishing
from avaffect.settings.base import Common

# Without metadata that differ by day or installation.
METADATA = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
PNG_DOTS = 150


def check(path: Path | None, flag: str = "--plot") -> None:
    """Raise UsageError where matplotlib is missing, or the suffix names no format of pictures."""
    if path is None:
        return
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"{flag} needs matplotlib: in the checkout of avaffect, python -m pip install -c "
            "constraints.txt -e '.[plots]'"
        ) from error
    if path.suffix.lower() not in METADATA:
        raise UsageError(f"{flag} {path}: the picture's name ends in {', '.join(METADATA)}")


def drawn(inches: tuple[float, float], suffix: str, draw: Callable[[Any], None]) -> bytes:
    """The content of a file. inches: width and height; draw: fills a figure of matplotlib."""
    import matplotlib
    from matplotlib.figure import Figure

    # Names of elements of an SVG are random numbers otherwise.
    with matplotlib.rc_context({"svg.hashsalt": "avaffect"}):
        figure = Figure(figsize=inches, dpi=PNG_DOTS, layout="constrained")
        draw(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix[1:], metadata=METADATA[suffix])
    return buffer.getvalue()


def write(
    path: Path, settings: Common, made: Provenance, content: bytes, progress: Progress
) -> None:
    """Raises OutputExistsError where another file is there, unless forced."""
    publishing.publish(
        replace(settings, output=path),
        made,
        content,
        progress,
        plan=f"draw {path}",
        differs="shows something else",
    )
