"""Augmentations of `finetune`, by name: of faces, and of sound."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avaffect.core.errors import UsageError
from avaffect.core.near import meant
from avaffect.settings.base import Common, option

FACES = ("flip", "crop", "crop-out", "missing", "solarise", "salt-pepper")
NOISE, BABBLE, ROOM = "noise", "babble", "room"
SPEED, SPECAUGMENT, MIXUP = "speed", "specaugment", "mixup"
SOUNDS = (NOISE, BABBLE, ROOM, SPEED, SPECAUGMENT, MIXUP)
NAMES = FACES + SOUNDS
# They would part the sound from faces and features of the same utterance.
OF_SOUND_ALONE = (SPEED, SPECAUGMENT, MIXUP)
SNR_DB = (0.0, 20.0)
# Zhang et al. 2018 found 0.1 to 0.4.
ALPHA = 0.2


@dataclass(frozen=True, kw_only=True)
class AugmentationOptions(Common):
    """Raises UsageError for an unknown name, one given twice, and options without theirs."""

    augment: str | None = option(
        None, "Augmentations in training, several joined by +. Of faces: flip, crop, crop-out, "
        "missing, solarise, salt-pepper. Of sound: noise, babble, room, speed, specaugment, mixup.",
        "--augment", metavar="NAME[+NAME...]",
    )  # fmt: skip
    crop_pixels: int | None = option(
        None, "Side of --augment crop in pixels. Default: 5/6 of the faces' side.",
        "--crop-pixels", at_least=1,
    )  # fmt: skip
    noise_store: tuple[Path, ...] = option(
        (), "Store of the noise of --augment noise, or of the voices of babble. Repeatable.",
        "--noise-store", role="input", metavar="NOISE.h5", added=True,
    )  # fmt: skip
    snr_range: tuple[float, float] | None = option(
        None, f"Range in dB of the signal-to-noise ratio of --augment noise and babble. Default: "
        f"{SNR_DB[0]:g} {SNR_DB[1]:g}.", "--snr-range", metavar="LOW HIGH", at_least=-200,
        at_most=200, added=True,
    )  # fmt: skip
    room_store: tuple[Path, ...] = option(
        (), "Store of recorded room responses for --augment room. Default: simulated. Repeatable.",
        "--room-store", role="input", metavar="ROOMS.h5", added=True,
    )  # fmt: skip
    mixup_alpha: float | None = option(
        None, f"Alpha of --augment mixup: higher mixes more evenly. Default: {ALPHA:g}.",
        "--mixup-alpha", metavar="A", above=0, added=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        named = self._augmentations
        for name in named:
            if name not in NAMES:
                raise UsageError(
                    f"unknown augmentation {name!r}: choose from {', '.join(NAMES)}, or "
                    f"join several with +, as in flip+noise{meant(name, NAMES)}"
                )
            if named.count(name) > 1 and name in SOUNDS:
                raise UsageError(f"--augment {self.augment}: {name} is given twice")
        noisy = [name for name in (NOISE, BABBLE) if name in named]
        if noisy and not self.noise_store:
            raise UsageError(f"--augment {noisy[0]} needs a --noise-store")
        needs: dict[str, tuple[object, tuple[str, ...]]] = {
            "--crop-pixels": (self.crop_pixels, ("crop",)),
            "--noise-store": (self.noise_store, (NOISE, BABBLE)),
            "--snr-range": (self.snr_range, (NOISE, BABBLE)),
            "--room-store": (self.room_store, (ROOM,)),
            "--mixup-alpha": (self.mixup_alpha, (MIXUP,)),
        }
        for flag, (value, names) in needs.items():
            if value not in (None, ()) and not set(names) & set(named):
                raise UsageError(f"{flag} goes with --augment {' or '.join(names)}")
        if self.snr_range is not None and self.snr_range[0] > self.snr_range[1]:
            low, high = self.snr_range
            raise UsageError(f"--snr-range {low:g} {high:g}: the lower number comes first")

    @property
    def _augmentations(self) -> list[str]:
        return [] if self.augment is None else self.augment.split("+")

    @property
    def of_faces(self) -> list[str]:
        """Names of augmentations of faces, in the order of the option."""
        return [name for name in self._augmentations if name in FACES]

    @property
    def of_sound(self) -> list[str]:
        """Names of augmentations of sound, in the order of the option."""
        return [name for name in self._augmentations if name in SOUNDS]
