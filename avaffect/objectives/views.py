"""The random views of a clip that BYOL and DINO compare, grey (Grill et al. 2020, appendix B).

Shifts of saturation and hue and the conversion to grey are omitted, as pictures are grey.
"""

from __future__ import annotations

from functools import partial

from avaffect.models.visual import VisualEncoder
from avaffect.signal.augmentations import (
    Augmentation,
    flip,
    gaussian_blur,
    in_turn,
    jitter,
    random_resized_crop,
    solarise,
    sometimes,
)

JITTER_PROBABILITY = 0.8
SOLARISED_ABOVE = 0.5


def view(
    size: int, area: tuple[float, float], blurred: float, solarised: float = 0.0
) -> Augmentation:
    """A crop that covers a share of the picture in the range `area`, resized to size x size pixels,
    mirrored with probability 0.5, with jitter of brightness and contrast with probability 0.8;
    blurred and solarised with these probabilities."""
    return in_turn(
        partial(random_resized_crop, size=size, area=area),
        flip,
        sometimes(jitter, JITTER_PROBABILITY),
        sometimes(gaussian_blur, blurred),
        sometimes(partial(solarise, threshold=SOLARISED_ABOVE), solarised),
    )


def large_views(encoder: VisualEncoder, area: tuple[float, float]) -> list[Augmentation]:
    """Two views, of 88 pixels for faces of 96: one always blurred, the other rarely, and sometimes
    solarised."""
    size = round(encoder.configuration.face_size * 11 / 12)
    return [view(size, area, 1.0), view(size, area, 0.1, 0.2)]


def small_views(
    encoder: VisualEncoder, area: tuple[float, float], count: int
) -> list[Augmentation]:
    """`count` views, with half the side of a face."""
    return [view(encoder.configuration.face_size // 2, area, 0.5)] * count
