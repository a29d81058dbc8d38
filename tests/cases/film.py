"""Pictures and sound that are mirrored, squeezed, paused, repeated or out of step."""

from __future__ import annotations

from cases import Case

CASES: list[Case] = []
