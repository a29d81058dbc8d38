"""Pictures and sound within the page, no more than it may hold."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np

from avaffect.core.nouns import count_of
from avaffect.core.streams import SAMPLE_RATE_HZ
from avaffect.data.pictures import jpeg

# Of JPEG, in percent.
QUALITY = 85
MEGABYTE = 1_000_000


@dataclass
class Media:
    """What the page embeds. most_bytes: of all pictures and sound as they stand in the page; what
    goes beyond is left out and counted."""

    most_bytes: int
    pictures: int = 0
    sounds: int = 0
    size: int = 0
    left_out: int = 0

    def picture(self, pixels: np.ndarray | None) -> str | None:
        """(H, W), (H, W, 1) grey or (H, W, 3) RGB uint8 as a data URI, JPEG."""
        if pixels is None or not pixels.size:
            return None
        found = self._embedded("image/jpeg", jpeg(pixels, QUALITY))
        self.pictures += found is not None
        return found

    def sound(self, samples: np.ndarray | None, most_s: float | None = None) -> str | None:
        """Samples (S,) int16 at 16 kHz, the first `most_s` seconds of them, as a data URI: MP3,
        which every browser plays."""
        if samples is None or not len(samples):
            return None
        import soundfile

        buffer = io.BytesIO()
        end = None if most_s is None else round(most_s * SAMPLE_RATE_HZ)
        soundfile.write(buffer, np.array(samples[:end]), SAMPLE_RATE_HZ, format="MP3")
        found = self._embedded("audio/mpeg", buffer.getvalue())
        self.sounds += found is not None
        return found

    def _embedded(self, kind: str, content: bytes) -> str | None:
        text = f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
        if self.size + len(text) > self.most_bytes:
            self.left_out += 1
            return None
        self.size += len(text)
        return text

    @property
    def words(self) -> str:
        """What is embedded, for the reader of the page."""
        held = f"{count_of(self.pictures, 'picture')} and {count_of(self.sounds, 'sound')}"
        size = f"{self.size / MEGABYTE:.1f} of at most {self.most_bytes / MEGABYTE:g} MB"
        left = f"; {self.left_out} more were left out (--megabytes)" if self.left_out else ""
        return f"{held} are embedded, {size}{left}."
