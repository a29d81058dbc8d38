"""Sound that is mixed, scaled or declared in unusual ways."""

from __future__ import annotations

from cases import Case

CASES: list[Case] = []
