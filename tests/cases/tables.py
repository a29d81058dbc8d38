"""Tables, file names and checkpoints as other programs spell them."""

from __future__ import annotations

from cases import Case

CASES: list[Case] = []
