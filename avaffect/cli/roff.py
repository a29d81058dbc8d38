"""Manual pages as plain text, for machines without man(1).

The macros of man(7) that the pages of avaffect use; the others are an error, so that a test finds
them.
"""

from __future__ import annotations

import re
import textwrap

from avaffect.core.errors import DataError

CHARACTERS = {
    "\\-": "-", "\\e": "\\", "\\&": "", "\\ ": "\N{NO-BREAK SPACE}", "\\(bu": "•", "\\(aq": "'",
    "\\(dq": '"',
    "\\(+-": "±", "\\(`a": "à", "\\[:o]": "ö", "\\:": "",
}  # fmt: skip
ESCAPES = re.compile(r"\\f[BIRP]|\\\[[^]]*\]|\\\(..|\\.")
INDENT, HANGING = 7, 7
# One font, or two in turns, without a space between the words.
FONTS = {"B": " ", "I": " ", "BR": "", "RB": "", "IR": "", "RI": "", "BI": "", "IB": ""}


def plain(page: str, width: int = 80, verbatim_indent: int = INDENT) -> str:
    """A page in lines of at most `width` columns, apart from those that are printed as they are.

    Raises DataError for a macro or a character that is not known.
    """
    rendering = _Rendering(width, verbatim_indent)
    # A line that ends in a backslash goes on in the next.
    for line in page.replace("\\\n", "").splitlines():
        rendering.line(line)
    rendering.end_paragraph()
    text = "\n".join(rendering.lines).replace("\N{NO-BREAK SPACE}", " ")
    return text.strip("\n") + "\n"


class _Rendering:
    def __init__(self, width: int, verbatim_indent: int) -> None:
        self.width, self.verbatim_indent = width, verbatim_indent
        self.lines: list[str] = []
        self.words: list[str] = []
        # Columns of the paragraph; its tag, which stands before it.
        self.indent = INDENT
        self.tag: str | None = None
        self.tag_follows = self.is_verbatim = False

    def line(self, line: str) -> None:
        if line.startswith('.\\"'):
            return
        if not line.startswith("."):
            self.text(_characters(line))
            return
        name, _, rest = line[1:].partition(" ")
        if name in FONTS:
            self.text(FONTS[name].join(_arguments(rest)))
        elif name in ("EX", "EE", "nf", "fi"):
            self.end_paragraph()
            self.is_verbatim = name in ("EX", "nf")
        elif name == "br":
            self.flush()
        elif name in ("TH", "SH", "SS", "PP", "TP", "IP"):
            self.paragraph(name, _arguments(rest))
        else:
            raise DataError(f".{name}: an unknown macro of a manual page")

    def paragraph(self, name: str, arguments: list[str]) -> None:
        self.end_paragraph()
        self.indent = INDENT
        if name == "TH":
            self.lines += [f"{arguments[0].upper()}({arguments[1]})", ""]
        elif name == "SH":
            self.lines += [" ".join(arguments)]
        elif name == "SS":
            self.lines += [f"   {' '.join(arguments)}"]
        elif name == "TP":
            self.tag_follows = True
        elif name == "IP":
            # A width that follows is that of a bullet.
            hanging = int(arguments[1]) + 1 if len(arguments) > 1 else HANGING
            self.tag, self.indent = arguments[0] if arguments else None, INDENT + hanging

    def text(self, text: str) -> None:
        if self.is_verbatim:
            self.lines.append(f"{' ' * self.verbatim_indent}{text}".rstrip())
        elif self.tag_follows:
            self.tag_follows, self.tag, self.indent = False, text, INDENT + HANGING
        else:
            self.words.append(text)

    def flush(self) -> None:
        """Write the words so far, behind or below the tag."""
        start = " " * self.indent
        if self.tag is not None:
            start = f"{' ' * INDENT}{self.tag} ".ljust(self.indent)
            if len(start) > self.indent:
                self.wrap(start.strip(), " " * INDENT, " " * self.indent)
                start = " " * self.indent
            self.tag = None
            if not self.words:
                self.lines.append(start.rstrip())
        self.wrap(" ".join(self.words), start, " " * self.indent)
        self.words = []

    def wrap(self, text: str, first: str, then: str) -> None:
        self.lines += textwrap.wrap(
            text, self.width, initial_indent=first, subsequent_indent=then,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip

    def end_paragraph(self) -> None:
        self.flush()
        if self.lines and self.lines[-1] and not _is_heading(self.lines[-1]):
            self.lines.append("")


def _is_heading(line: str) -> bool:
    return len(line) - len(line.lstrip()) < INDENT


def _arguments(text: str) -> list[str]:
    """The arguments of a macro; a quotation mark at the beginning of one keeps its spaces."""
    found = re.findall(r'"((?:[^"]|"")*)"|((?:\\.|[^\s\\])+)', text)
    return [_characters(quoted.replace('""', '"') or bare) for quoted, bare in found]


def _characters(text: str) -> str:
    def character(found: re.Match[str]) -> str:
        escape = found[0]
        if escape.startswith("\\f"):
            return ""
        if escape.startswith("\\[u"):
            return chr(int(escape[3:-1], 16))
        if escape not in CHARACTERS:
            raise DataError(f"{escape}: an unknown character of a manual page")
        return CHARACTERS[escape]

    return ESCAPES.sub(character, text)
