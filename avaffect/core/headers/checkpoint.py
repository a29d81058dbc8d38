"""Fields that the headers of all checkpoints share; see avaffect-checkpoint(5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from avaffect.core import checkpoint_header
from avaffect.core.errors import DataError
from avaffect.core.provenance import Provenance, Reference, of_role
from avaffect.core.record import Record
from avaffect.core.registry import Description

H = TypeVar("H", bound="CheckpointHeader")
# What the file writes of itself, whatever it holds.
_OF_THE_FILE = ("format", "kind", "version", "content_id", checkpoint_header.DIGEST_KEY)


@dataclass(frozen=True, kw_only=True)
class CheckpointHeader(Record):
    """kind               encoder, quantiser, projector or classifier; "" here, for any of them
    model              name and configuration of the module
    labelled_speakers  whose labels the weights, or those that they were made from, have seen
    version, content_id  of the file that was read; "" before it is written
    """

    kind: ClassVar[str] = ""

    model: Description
    provenance: Provenance = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    labelled_speakers: tuple[str, ...] = ()
    version: str = ""
    content_id: str = ""

    @property
    def command(self) -> str | None:
        """The command that made it; None where it does not say."""
        return self.provenance.get("command")

    def parents(self, role: str) -> list[Reference]:
        """References to the inputs that played `role`, in order."""
        return of_role(self.provenance, role)

    def to_dict(self) -> dict[str, Any]:
        """The keys that say what it is and where it came from; the file adds those of itself."""
        return {k: v for k, v in super().to_dict().items() if k not in _OF_THE_FILE}


def read(path: Path, kind: type[H]) -> H:
    """The header of a checkpoint of this kind; `CheckpointHeader` reads any.

    Raises DataError where the file is no whole checkpoint, or one of another kind.
    """
    return typed(path, checkpoint_header.read_header(path, *expected(kind)), kind)


def read_any(path: Path, *kinds: type[H]) -> H:
    """The header of a checkpoint of one of these kinds, of the class of its kind.

    Raises DataError where the file is no whole checkpoint, or one of another kind.
    """
    of_name = {kind.kind: kind for kind in kinds}
    header = checkpoint_header.read_header(path, *of_name)
    return typed(path, header, of_name[header["kind"]])


def expected(kind: type[CheckpointHeader]) -> tuple[str, ...]:
    """The kinds of files that have this header; () for any."""
    return (kind.kind,) if kind.kind else ()


def typed(path: Path, header: checkpoint_header.Header, kind: type[H]) -> H:
    """A header that was read from `path`. Raises DataError, naming the file, where it is no such
    header."""
    try:
        return kind.from_dict(header)
    except DataError as error:
        raise DataError(f"{path} is damaged: in its header, {error}; make it again") from error


def labelled_speakers(*headers: CheckpointHeader | None) -> tuple[str, ...]:
    """Speakers whose labels any of these models has seen, sorted, each once."""
    known = {one for header in headers if header is not None for one in header.labelled_speakers}
    return tuple(sorted(known))
