"""Names of strangers on a terminal: what would break a line, or what a terminal obeys, is shown as
an escape, and no id holds it."""

from __future__ import annotations

import re

# Control characters (a terminal obeys those from 0x80 too), ends of lines and paragraphs, marks
# that turn the direction of what follows, and bytes that are no UTF-8.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def on_one_line(text: str) -> str:
    """A text with such characters as escapes (\\n, \\x1b)."""
    return _UNSEEN.sub(lambda found: repr(found[0])[1:-1], text)


def is_plain(text: str) -> bool:
    """Whether a text has no such character."""
    return _UNSEEN.search(text) is None
