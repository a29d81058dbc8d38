"""Questions of `synth` about existing files, before it renders."""

from __future__ import annotations

from pathlib import Path

# Of speakers whose emotions the manifest keeps to itself.
POOL_DOMAIN = "B"


def holds_anything(path: Path) -> bool:
    """Whether a file is there, and not empty."""
    return path.is_file() and path.stat().st_size > 0
