"""Classes of a label as `--classes` spells them: which, in which order, which merged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from avaffect.core.errors import DataError, UsageError


@dataclass(frozen=True)
class ClassMap:
    """Classes in order, each with the names in the data that it stands for.

    One without classes is of no choice: every name in the data is a class of its own; it is false.
    """

    members: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def parse(cls, text: str | None) -> ClassMap:
        """`anger,happiness=excitement+happiness`; None for no choice.

        Raises UsageError for an empty name, and for a name that is there twice.
        """
        if text is None:
            return cls()
        members = []
        for part in text.split(","):
            name, equals, merged = (piece.strip() for piece in part.partition("="))
            sources = tuple(source.strip() for source in merged.split("+")) if equals else (name,)
            if not name or not all(sources) or "=" in merged:
                raise UsageError(f"--classes {text}: expected name or name=a+b, between commas")
            members.append((name, sources))
        used = [source for _, sources in members for source in sources]
        if len(set(used)) < len(used) or len({name for name, _ in members}) < len(members):
            raise UsageError(f"--classes {text}: a class is named twice")
        return cls(tuple(members))

    @classmethod
    def of(cls, names: Iterable[str]) -> ClassMap:
        """These classes in this order, none merged."""
        return cls(tuple((name, (name,)) for name in names))

    def __bool__(self) -> bool:
        return bool(self.members)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.members)

    @property
    def sources(self) -> tuple[str, ...]:
        """The names in the data that any class stands for."""
        return tuple(self._class_of)

    def class_of(self, name: str | None) -> str | None:
        """The class that a name in the data belongs to; None where it is of none, or missing."""
        return self._class_of.get(name) if self and name is not None else name

    def check(self, used: Iterable[str], where: str, purpose: str) -> None:
        """Raises DataError where a class that was chosen is not among the used ones; purpose: of
        the utterances, "to train on"."""
        missing = sorted(set(self.names) - set(used))
        if missing:
            raise DataError(
                f"{where}: no utterance {purpose} is of the class {missing[0]!r} of --classes; "
                "leave it out, or see its spelling"
            )

    def renamed(self, name: str | None) -> str | None:
        """As `class_of`, of what a command may have merged before: a class is itself unless it is
        a name in the data of another."""
        found = self.class_of(name)
        return name if found is None and name in self.names else found

    def summed(self, votes: Mapping[str, float]) -> dict[str, float]:
        """Votes for names in the data -> votes for each class."""
        if not self:
            return dict(votes)
        return {name: sum(votes.get(s, 0.0) for s in merged) for name, merged in self.members}

    def places(self, names: Sequence[str]) -> list[list[int]]:
        """For each class the places among `names` of what it stands for. Raises ValueError where
        one is not there."""
        return [[names.index(source) for source in merged] for _, merged in self.members]

    @cached_property
    def _class_of(self) -> dict[str, str]:
        return {source: name for name, merged in self.members for source in merged}
