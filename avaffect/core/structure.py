"""What of an encoder can be chosen: its layers, and its parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from avaffect.core.errors import UsageError
from avaffect.core.near import meant
from avaffect.core.record import Record

THIS = "this encoder"


@dataclass(frozen=True, kw_only=True)
class Structure(Record):
    """As the header of an encoder's checkpoint has it.

    depth: number of layers to choose from; 0 where it gives its output alone. first_layer: of those
    that can be summed, up to the output. parts: names of those that can be frozen.
    encoder, in the checks: its name in messages.
    """

    depth: int = 0
    first_layer: int = 1
    parts: tuple[str, ...] = ()

    @property
    def layer_count(self) -> int:
        """Number of layers that can be summed; 0 without any."""
        return self.depth - self.first_layer + 1 if self.depth else 0

    def check_layer(self, layer: int | None, encoder: str = THIS) -> None:
        """Raises UsageError for a layer that it does not have."""
        check_layer(layer, self.depth, encoder=encoder)

    def check_weighted(self, encoder: str = THIS) -> None:
        """Raises UsageError where there are no two layers to sum."""
        if self.layer_count < 2:
            have = "one layer alone" if self.layer_count else "no layers to choose from"
            raise UsageError(f"--layers weighted: {encoder} has {have}")

    def check_parts(self, names: Iterable[str], encoder: str = THIS) -> None:
        """Raises UsageError for a part that it does not have."""
        for name in names:
            if name not in self.parts:
                have = " and ".join(self.parts)
                words = f"its parts are {have}" if have else "it is one whole"
                raise UsageError(
                    f"--freeze {name}: {encoder} has no such part ({words}); --mode frozen keeps "
                    f"all of it{meant(name, self.parts)}"
                )


def check_layer(layer: int | None, depth: int, first: int = 1, encoder: str = THIS) -> None:
    """Raises UsageError unless `layer` is None or one of `first` to `depth`."""
    if layer is None or first <= layer <= depth:
        return
    if not depth:
        raise UsageError(f"layer {layer}: {encoder} has no layers to choose from")
    raise UsageError(f"layer {layer}: {encoder} has layers 1 to {depth}")
