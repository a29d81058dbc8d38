"""The head of highlight detection: a score of each segment of a recording.

SAAML, section 5.3.2 and appendix A.1, after the set-based learning module of Xu et al. 2021
("Cross-category Video Highlight Detection via Set-based Learning", ICCV): a Transformer over the
segments of a recording as a set, without positions, and dense layers that score each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avaffect.models.encoder import Encoded, Frames
from avaffect.models.heads.base import FrameHead, FrameHeadConfiguration, Outputs, joined
from avaffect.models.heads.recurrent import mean_steps
from avaffect.models.standardisation import Standardisation
from avaffect.models.transformer import TransformerConfiguration, TransformerEncoder
from avaffect.settings.highlight_options import HighlightOptions
from avaffect.settings.two_stream_options import check_heads


@dataclass(frozen=True)
class HighlightConfiguration(HighlightOptions, FrameHeadConfiguration):
    """standardise: the inputs are standardised first, by statistics that the head stores."""

    standardise: bool = False


class HighlightHead(FrameHead):
    """Scores of segments, each the mean of its frames; the last segment may be shorter.

    The order of the segments does not matter: a score depends on its segment and on the set of all
    others of the recording. Raises UsageError where the heads of the attention do not divide the
    size of a segment.
    """

    whole = True

    def __init__(self, configuration: HighlightConfiguration) -> None:
        c = configuration
        rate_hz = max(item.rate_hz for item in c.inputs)
        super().__init__(c.inputs, c.outputs, max(1, round(rate_hz * c.segment)))
        self.configuration = c
        width = c.width or c.dim
        check_heads("attention_heads", c.attention_heads, "width", width)
        self.standardisation = Standardisation(c.dim) if c.standardise else None
        self.project = nn.Linear(c.dim, width) if c.width else nn.Identity()
        self.transformer = TransformerEncoder(
            TransformerConfiguration(
                layers=c.layers, dim=width, ffn_dim=c.ffn_dim, heads=c.attention_heads,
                position_norm="none", dropout=c.dropout, attention_dropout=c.dropout,
                layerdrop=0.0,
            )
        )  # fmt: skip
        self.scores = nn.Sequential(
            nn.Linear(width, c.first_units), nn.ReLU(),
            nn.Linear(c.first_units, c.second_units), nn.ReLU(),
            nn.Linear(c.second_units, c.outputs),
        )  # fmt: skip

    def forward(
        self, frames: Mapping[str, Encoded], present: Mapping[str, Tensor] | None = None
    ) -> Outputs:
        """Over time (B, segments, outputs); of an utterance the mean over its segments."""

        def over_time() -> Frames:
            missing = self._missing()
            found = joined(frames, self.inputs, present, missing)
            values = found.values
            if self.standardisation is not None:
                values = self.standardisation(values)
            steps = mean_steps(
                Frames(values * found.valid[..., None], found.lengths), self.frames_per_step
            )
            x = self.transformer(self.project(steps.values), steps.valid)
            return Frames(self.scores(x).float() * steps.valid[..., None], steps.lengths)

        return Outputs(lambda: over_time().mean(), over_time)

    def _missing(self) -> Tensor:
        """The values that standardisation maps to 0."""
        if self.standardisation is not None:
            return self.standardisation.mean
        return torch.zeros((), device=next(self.parameters()).device)
