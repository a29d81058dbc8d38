"""Tables in LaTeX, for papers: tabular with the rules of booktabs."""

from __future__ import annotations

import re

from avaffect.core.shown import on_one_line
from avaffect.core.table import Table

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "\0": "{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "±": r"$\pm$", "−": "$-$", "→": r"$\rightarrow$", "≤": r"$\leq$", "≥": r"$\geq$",
}  # fmt: skip
# Two make a dash, or a closing quotation mark.
_JOINED = re.compile(r"(?<=-)(?=-)|(?<=')(?=')")
_APART = "\0"
# At the beginning of a row these belong to the end of the row above.
_OF_ROW_ABOVE = ("[", "*")
# pdfTeX has no signs for others without further packages.
_LATIN = re.compile(r"[ -~\u00a0-\u017f\u2013\u2014\u2018-\u201e\u2020-\u2022\u2026\u20ac]")
_NUMBER = r"[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
# A score, its deviation, its stars and the bounds of its interval.
_SCORE = re.compile(
    rf"({_NUMBER})(?: ± ({_NUMBER}))?(\*+)?(?: \[({_NUMBER}), ({_NUMBER})\])?"
)  # fmt: skip


def latex(table: Table) -> str:
    """A tabular; its first column on the left, others on the right; title and note are comments,
    and a third says where pdflatex has no sign for a character."""
    lines = [f"% {on_one_line(table.title)}"]
    lines += [f"% {on_one_line(table.note)}"] if table.note else []
    text = "".join(on_one_line(cell) for row in (table.columns, *table.rows) for cell in row)
    strange = sorted({*text} - {*_SPECIAL} - {*_LATIN.findall(text)})
    if strange:
        lines.append(f"% pdflatex has no sign for {' '.join(strange)}: take lualatex")
    lines += [rf"\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}", r"\toprule"]
    lines += [_row(table.columns), r"\midrule", *map(_row, table.rows)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _row(cells: tuple[str, ...]) -> str:
    line = " & ".join(map(_cell, cells)) + r" \\"
    return "{}" * line.startswith(_OF_ROW_ABOVE) + line


def _cell(text: str) -> str:
    found = _SCORE.fullmatch(text)
    if found is None:
        return "".join(_SPECIAL.get(sign, sign) for sign in _JOINED.sub(_APART, on_one_line(text)))
    value, deviation, stars, low, high = found.groups()
    score = _number(value) + (rf" \pm {deviation}" if deviation else "")
    score += f"^{{{stars}}}" if stars else ""
    score = f"${score}$" if score != value or value[0] in "+-" else value
    return score + (f" [${_number(low)}$, ${_number(high)}$]" if low else "")


def _number(text: str) -> str:
    digits, mark, power = text.partition("e")
    return rf"{digits} \times 10^{{{int(power)}}}" if mark else digits
