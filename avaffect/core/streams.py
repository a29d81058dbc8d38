"""Names of the streams and pooled vectors that stores and batches hold; see avaffect-store(5).

They are the names in files: a change of one would make old stores unreadable.
"""

from __future__ import annotations

WAVEFORM = "waveform"
FACE = "face"
# Box, landmarks, score and source of each picture of FACE.
FACE_TRACK = "face_track"
# Frames that `extract` wrote, and their cluster numbers.
FEATURES = "features"
UNITS = "units"

# Pooled vectors: the mean of an utterance's frames; descriptors of the utterance as a whole.
MEAN = "mean"
FUNCTIONALS = "functionals"

# Every waveform in a store or a batch.
SAMPLE_RATE_HZ = 16_000
