"""Pictures by matplotlib as files: PNG, SVG, PDF, the same bytes whenever they are drawn."""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from avaffect.core.errors import UsageError
from avaffect.core.progress import SILENT, Progress
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
# Of texts that the usual font has no signs for, those of these that are installed.
FURTHER_FONTS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "WenQuanYi Zen Hei", "IPAGothic", "Droid Sans Fallback",
    "Noto Sans Arabic", "Noto Sans Devanagari", "FreeSans", "Unifont",
)  # fmt: skip
# Of letters of the usual size, on average.
LETTER_INCHES = 0.085


def check(path: Path | None, flag: str = "--plot") -> None:
    """Raise UsageError where matplotlib is missing, or the suffix names no format of pictures."""
    if path is None:
        return
    # An import that fails may lack memory.
    if find_spec("matplotlib") is None:
        raise UsageError(
            f"{flag} needs matplotlib: in the checkout of avaffect, python -m pip install -c "
            "constraints.txt -e '.[plots]'"
        )
    if path.suffix.lower() not in METADATA:
        raise UsageError(f"{flag} {path}: the picture's name ends in {', '.join(METADATA)}")


def drawn(
    inches: tuple[float, float],
    suffix: str,
    draw: Callable[[Any], None],
    progress: Progress = SILENT,
) -> bytes:
    """The content of a file. inches: width and height, without what reaches beyond; draw: fills a
    figure of matplotlib. Names are drawn as they are, $ too. A warning says what no font has."""
    content, lacking = _drawn(inches, suffix, draw, [])
    if lacking:
        from matplotlib import font_manager

        there = {*font_manager.get_font_names()}
        fonts = [name for name in FURTHER_FONTS if name in there]
        if fonts:
            content, lacking = _drawn(inches, suffix, draw, fonts)
    if lacking:
        progress.warn(
            f"no font here has {' '.join(lacking)}: the picture shows boxes in their place; "
            "install one, such as Noto Sans CJK"
        )
    return content


def _drawn(
    inches: tuple[float, float], suffix: str, draw: Callable[[Any], None], fonts: Sequence[str]
) -> tuple[bytes, list[str]]:
    """The content, and the signs that neither the usual font nor `fonts` have."""
    import matplotlib
    from matplotlib.figure import Figure

    usual = matplotlib.rcParams["font.family"]
    # Names of elements of an SVG are random numbers otherwise.
    style: dict[Any, Any] = {
        "svg.hashsalt": "avaffect",
        "text.parse_math": False,
        "font.family": [*usual, *fonts],
    }
    with matplotlib.rc_context(style), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        figure = Figure(figsize=inches, dpi=PNG_DOTS, layout="constrained")
        draw(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix[1:], metadata=METADATA[suffix], bbox_inches="tight")
    found = (re.match(r"Glyph (\d+) ", str(one.message)) for one in said)
    return buffer.getvalue(), sorted({chr(int(one[1])) for one in found if one})


def fitted(text: str, inches: float) -> str:
    """A title in lines that a panel of this width has room for; long words are divided."""
    return textwrap.fill(text, max(8, int(inches / LETTER_INCHES)))


def legend_name(name: str) -> str:
    """A name as matplotlib shows it in a legend, which leaves out those that begin with _."""
    return f" {name}" if name.startswith("_") else name


def leaning(panel: Any) -> None:
    """Names below a panel lean, so that long ones end at their tick and do not meet."""
    for label in panel.get_xticklabels():
        label.set(rotation=30, ha="right", rotation_mode="anchor")


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
