"""Errors that end a command, each with its exit status.

The statuses follow sysexits(3) where it covers the case; avaffect(1) documents them.
"""

from __future__ import annotations

DONE = 0
FAILURE = 1
USAGE = 2
BAD_DATA = 65
OUTPUT_EXISTS = 73
PREEMPTED = 75
INTERRUPTED = 130
BROKEN_PIPE = 141


class AvaffectError(Exception):
    """A failure that a user can act on: one sentence with the file and what to do."""

    status = FAILURE


class UsageError(AvaffectError):
    """The options contradict each other or ask for something that does not exist."""

    status = USAGE


class DataError(AvaffectError):
    """An input is missing, truncated, of another version, or does not fit the others."""

    status = BAD_DATA


class ForeignError(DataError):
    """The file was not written by avaffect."""


class OutputExistsError(AvaffectError):
    """The output exists, made from other inputs or settings."""

    status = OUTPUT_EXISTS


class WriteError(AvaffectError):
    """The output cannot be written: a full disk, a read-only folder, a limit."""


class LockedError(OutputExistsError):
    """Another process is making the output."""


class Preempted(AvaffectError):
    """A signal stopped training; the state is saved and the same command resumes."""

    status = PREEMPTED


class MachineFault(AvaffectError):
    """The machine failed, not the data: memory, permissions, descriptors, a disk, the network.

    The same command may succeed after the fault: it must not be recorded in any output.
    """


class Interrupted(Preempted):
    """Ctrl-C stopped training; the state is saved and the same command resumes."""

    status = INTERRUPTED
