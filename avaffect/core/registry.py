"""Registries by name: encoders, objectives, heads, front-ends, corpora; open to other packages.

A name is registered with its class and the class of its configuration, each as an object or as its
place ("module:attribute"), which is imported when the part is used: names cost no import. Another
package adds a part through an entry point of the registry's group, with the name of the part
(https://packaging.python.org/en/latest/specifications/entry-points/):

    [project.entry-points."avaffect.encoders"]
    toy = "toy_package:TOY"        # TOY = Part(ToyConfiguration, ToyEncoder)

For a part without a configuration (a front-end, a corpus), the entry point is the part itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypedDict

from avaffect.core import faults
from avaffect.core.configuration import read
from avaffect.core.errors import AvaffectError, DataError, UsageError
from avaffect.core.near import meant

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

# Errors of making a part from a configuration that was changed.
UNFIT = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, AssertionError,
         RuntimeError, MemoryError)  # fmt: skip


class Description(TypedDict):
    """A part in JSON: its name, and the fields of its configuration."""

    name: str
    configuration: dict[str, Any]


@dataclass(frozen=True)
class Part:
    """A registered part.

    configuration  class of its configuration, a dataclass (`core.configuration`); or None
    value          its class; without a configuration, any object
    needs          an optional package that it requires

    configuration and value may be places, "module" or "module:attribute".
    """

    configuration: Any
    value: Any
    needs: str | None = None

    def load(self) -> Any:
        """The class, or the object of a part without a configuration."""
        return located(self.value)

    def load_configuration(self) -> Any:
        """The class of its configuration."""
        return located(self.configuration)

    def make(self, configuration: dict[str, Any], *given: Any) -> Any:
        """An instance from the arguments `given` and its configuration in JSON values.

        A class that is constructed otherwise has a class method from_configuration.
        Raises KeyError, TypeError or ValueError if the configuration does not fit.
        """
        made, known = self.load(), read(self.load_configuration(), configuration)
        return getattr(made, "from_configuration", made)(*given, known)

    def is_of(self, value: Any) -> bool:
        """Whether `value` is the class of this part, without importing it."""
        if isinstance(self.value, str):
            return self.value == f"{value.__module__}:{value.__qualname__}"
        return self.value is value


class Registry:
    """Parts of one kind by name, avaffect's own before those of other packages.

    noun   name of a part in messages
    group  group of entry points that add parts; None if other packages may not
    error  raised for an unknown name: DataError if names come from files
    """

    def __init__(
        self, noun: str, group: str | None, error: type[AvaffectError] = UsageError
    ) -> None:
        self.noun, self.group, self.error = noun, group, error
        self._own: dict[str, Part] = {}
        self._loaded: dict[str, Part] = {}

    def register(
        self, name: str, configuration: Any, value: Any, *, needs: str | None = None
    ) -> None:
        """Add a part; see `Part`. Raises ValueError if the name is registered already."""
        if name in self._own:
            raise ValueError(f"{self.noun} {name!r} is registered already")
        self._own[name] = Part(configuration, value, needs)

    def owns(self, name: str) -> bool:
        """Whether avaffect itself has this part; other packages are not searched."""
        return name in self._own

    def __contains__(self, name: object) -> bool:
        # Other packages are searched only for names that avaffect itself does not have.
        return name in self._own or name in self._points

    def __iter__(self) -> Iterator[str]:
        yield from self._own
        yield from (name for name in sorted(self._points) if name not in self._own)

    def __getitem__(self, name: str) -> Part:
        """The part of a name. Raises the registry's error, with the known names, for an unknown
        name, and AvaffectError if the package that adds the part cannot be imported."""
        if name in self._own:
            return self._own[name]
        if name not in self._points:
            raise self.error(
                f"unknown {self.noun} {name!r}; known: {', '.join(self)}{meant(name, self)}"
            )
        if name not in self._loaded:
            self._loaded[name] = self._load(self._points[name])
        return self._loaded[name]

    def describe(self, instance: Any) -> Description:
        """{"name": ..., "configuration": {...}} in JSON values, for `build`.

        Raises KeyError if its class is not registered.
        """
        return {
            "name": self.name_of(type(instance)),
            "configuration": asdict(instance.configuration),
        }

    def name_of(self, value: Any) -> str:
        """The name of a class. Raises KeyError if it is not registered."""
        for name, part in self._own.items():
            if part.is_of(value):
                return name
        for name in self._points:
            # There are no instances of a package that cannot be imported.
            with suppress(AvaffectError):
                if self[name].is_of(value):
                    return name
        raise KeyError(value)

    def build(self, description: Description, *given: Any) -> Any:
        """A new instance from the result of `describe`; given: arguments before the configuration
        (for an objective, its encoder).

        Raises the registry's error for an unknown name, DataError if the configuration does not
        fit.
        """
        name = description.get("name")
        part = self[str(name)]
        try:
            return part.make(description["configuration"], *given)
        except UNFIT as error:
            faults.check_machine(f"a new {name}", error)
            raise DataError(f"the configuration of this {name} does not fit: {error}") from error

    @cached_property
    def _points(self) -> dict[str, EntryPoint]:
        if self.group is None:
            return {}
        # Imported here: it takes 30 ms, which most commands do not need.
        from importlib.metadata import entry_points

        return {point.name: point for point in entry_points(group=self.group)}

    def _load(self, point: EntryPoint) -> Part:
        try:
            found = point.load()
        except (ImportError, AttributeError) as error:
            raise AvaffectError(
                f"{self.noun} {point.name!r}: {point.value} cannot be imported ({error}); repair "
                "or uninstall the package that adds it"
            ) from error
        return found if isinstance(found, Part) else Part(None, found)


def located(place: Any) -> Any:
    """The object at "module:attribute", or the module; an object that is not a string, itself."""
    if not isinstance(place, str):
        return place
    module, _, attribute = place.partition(":")
    found = importlib.import_module(module)
    return getattr(found, attribute) if attribute else found
