"""Options for windows over long recordings."""

from __future__ import annotations

from avaffect.core.errors import UsageError


def check_windows(window_s: float | None, step_s: float | None = None) -> None:
    """Raises UsageError where windows are further apart than they are long."""
    if window_s is not None and step_s is not None and step_s > window_s:
        raise UsageError(
            f"--step {step_s:g}: windows of {window_s:g} s would leave gaps; at most {window_s:g}"
        )
