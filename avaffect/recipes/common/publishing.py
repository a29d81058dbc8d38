"""Rerun and overwrite, the same for every output of every command.

An output that was made from the same inputs and settings is touched and kept. Another one is
refused unless --force is given. A dry run reports the output that would be written.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from avaffect.core import checkpoint_header, claims
from avaffect.core.atomic import atomic_path, sweep
from avaffect.core.errors import DataError, ForeignError, OutputExistsError, UsageError
from avaffect.core.lock import try_acquire
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance, identity
from avaffect.data import artifacts, manifest
from avaffect.data.artifacts import Artifact
from avaffect.settings.base import Common, Resumable

# Weights of this size are hashed in a hundredth of a second; the program starts in a few tenths.
SMALL_BYTES = 4 << 20


def is_current(
    settings: Common,
    made: Provenance,
    progress: Progress,
    *,
    is_same: Callable[[Path], bool] | None = None,
    differs: str = "was made from other inputs or settings",
) -> bool:
    """True where `settings.output` is there and the same: it is touched and kept.

    is_same: whether a file equals the output to be written; by default whether an artifact has the
    identity of the provenance `made`. differs: the words for a file that does not.

    Raises OutputExistsError where it is another and not forced, DataError where the size or the
    header of an artifact, or small weights, show damage; UsageError where the output is an input or
    cannot be written; LockedError where another process is making it.
    """

    def current() -> bool:
        return _is_current(settings, made, progress, is_same, differs)

    if current():
        if not settings.dry_run and not isinstance(settings, Resumable):
            tidy(settings.output)
        return True
    # A command that keeps its work takes the lock with it.
    if settings.output is None or settings.dry_run or isinstance(settings, Resumable):
        return False
    # Another process may have made it until it was claimed.
    return claims.claim(settings.output, progress.say) and current()


def tidy(output: Path | None) -> None:
    """Remove what was left by a process that was killed when it had made the output."""
    folder = None if output is None else claims.state_folder(output)
    if output is not None and folder is not None and folder.is_dir():
        lock = try_acquire(folder / claims.LOCK)
        if lock is not None:
            sweep(output)
            claims.leave(lock)


def _is_current(
    settings: Common, made: Provenance, progress: Progress,
    is_same: Callable[[Path], bool] | None, differs: str,
) -> bool:  # fmt: skip
    output = settings.output
    if output is None or not output.exists():
        return False
    _check_output(output, made)
    if settings.force:
        return False
    if not (_is_of(output, made) if is_same is None else is_same(output)):
        raise OutputExistsError(
            f"{output} exists and {differs}; name another output, or overwrite it with --force"
        )
    os.utime(output)
    progress.say(f"{output} is up to date")
    return True


def is_dry(settings: Common, progress: Progress, plan: str) -> bool:
    """Whether this is a dry run, after a message on the work."""
    if settings.dry_run:
        progress.say(f"would {plan}" + (f" into {settings.output}" if settings.output else ""))
    return settings.dry_run


def is_done(settings: Common, made: Provenance, progress: Progress, plan: str) -> bool:
    """True where there is no work: the artifact is current, or this is a dry run.

    Raises as `is_current` does.
    """
    # Signals are lost while torch is loaded, just before.
    progress.check()
    return is_current(settings, made, progress) or is_dry(settings, progress, plan)


def publish(
    settings: Common,
    made: Provenance,
    content: bytes,
    progress: Progress,
    *,
    plan: str,
    differs: str,
    is_same: Callable[[Path], bool] | None = None,
) -> None:
    """Write an output that takes no time: its content shows whether it is current.

    is_same: by default whether a file has the same bytes. Raises as `is_current` does.
    """

    def has_same_bytes(path: Path) -> bool:
        return path.read_bytes() == content

    same = is_same or has_same_bytes
    if is_current(settings, made, progress, is_same=same, differs=differs):
        return
    if not is_dry(settings, progress, plan) and settings.output is not None:
        with atomic_path(settings.output) as temporary:
            temporary.write_bytes(content)


def _is_of(output: Path, made: Provenance) -> bool:
    """Whether an artifact was made from the same inputs and settings; DataError where it is
    damaged."""
    try:
        found = artifacts.describe(output)
        _check_whole(found)
    except ForeignError as error:
        raise OutputExistsError(
            f"{output} exists and is no artifact of avaffect, or is damaged at its start; name "
            "another output, or overwrite it with --force"
        ) from error
    except DataError as error:
        raise DataError(f"{error}: delete it, or overwrite it with --force") from error
    return bool(found.provenance) and identity(found.provenance) == identity(made)


def _check_whole(artifact: Artifact) -> None:
    """Raises DataError where a file is damaged, by checks that are cheap and go beyond reading its
    header: the end of a manifest, the size of a store, small weights."""
    path = artifact.path
    if artifact.kind == "manifest":
        manifest.check_end(path, artifact.header.version)
    elif artifact.kind == "store":
        # Imported here: commands on manifests start without NumPy and h5py.
        from avaffect.data.store import opening

        opening.check_size(path)
    elif path.stat().st_size <= SMALL_BYTES:
        checkpoint_header.verify(path)


def _check_output(output: Path, made: Provenance) -> None:
    """Raises UsageError where a file cannot be written, or is an input."""
    if not output.is_file():
        raise UsageError(f"{output} is a folder or a device; name a file to write")
    there = output.resolve()
    for entry in made.get("inputs", []):
        read = (there.parent / entry["path"]).resolve() if entry.get("path") else None
        if read == there:
            raise UsageError(f"{output} is an input ({entry['role']}); name another output")
