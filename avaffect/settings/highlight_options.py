"""Options of the head that scores segments of recordings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from avaffect.settings.base import option


@dataclass(frozen=True)
class HighlightOptions:
    """Of `models.heads.highlight`.

    kinds: of the labels that it learns; loss, select: its defaults of --loss and --select.
    """

    kinds: ClassVar[tuple[str, ...]] = ("trace",)
    loss: ClassVar[str] = "kl=1"
    select: ClassVar[str] = "map"

    segment: float = option(5.0, "Seconds of a segment, which gets one score.", above=0)
    width: int = option(
        0, "Size of a segment in the Transformer. 0: that of the input, without a projection.",
        at_least=0,
    )  # fmt: skip
    layers: int = option(5, "Layers of the Transformer.", at_least=1)
    attention_heads: int = option(8, "Heads of the attention, which divide width.", at_least=1)
    ffn_dim: int = option(2048, "Units of the feed-forward layers.", at_least=1)
    first_units: int = option(1024, "Units of the first scoring layer.", at_least=1)
    second_units: int = option(256, "Units of the second scoring layer.", at_least=1)
    dropout: float = option(0.1, "Dropout probability in the Transformer.", at_least=0, below=1)
