"""Numbers of things in messages: 1 speaker, 2 speakers."""

from __future__ import annotations


def count_of(count: float, one: str, several: str | None = None) -> str:
    """`1 speaker`, `0 speakers`, `2 speakers`.

    one: the noun, with an adjective before it or a verb behind it; several: the same of other
    numbers, by default the plural of the last word.
    """
    return f"{count} {one if count == 1 else several or plural(one)}"


def share_of(part: int, whole: int, noun: str) -> str:
    """`3 of 5 utterances`; `5 utterances` where the part is the whole."""
    return count_of(whole, noun) if part == whole else f"{part} of {count_of(whole, noun)}"


def plural(noun: str) -> str:
    """query: queries; class: classes; axis, which is none of these, has to be given."""
    if noun.endswith(("s", "x", "ch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2:-1] not in ("a", "e", "o", "u"):
        return f"{noun[:-1]}ies"
    return f"{noun}s"
