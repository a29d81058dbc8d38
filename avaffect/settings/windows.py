"""Windows over long recordings, as users ask for them."""

from __future__ import annotations

from avaffect.core.errors import UsageError


def check_windows(window_s: float | None, step_s: float | None = None) -> None:
    """Raises UsageError unless both are above 0 where they are given, and windows are not further
    apart than they are long."""
    for flag, value in (("window", window_s), ("step", step_s)):
        if value is not None and not value > 0:
            raise UsageError(f"--{flag} {value:g}: seconds above 0")
    if window_s is not None and step_s is not None and step_s > window_s:
        raise UsageError(
            f"--step {step_s:g}: windows of {window_s:g} s leave out what is between them; choose "
            f"{window_s:g} at most"
        )
