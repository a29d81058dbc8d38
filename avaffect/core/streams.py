"""Names of streams and pooled vectors in stores and batches; see avaffect-store(5).

They are names in files: a change would make old stores unreadable.
"""

from __future__ import annotations

WAVEFORM = "waveform"
FACE = "face"
# Box, landmarks, score and source of each picture of FACE.
FACE_TRACK = "face_track"
# Frames written by `extract`, and their cluster numbers.
FEATURES = "features"
UNITS = "units"

# Pooled vectors: the mean of an utterance's frames; descriptors of the utterance as a whole.
MEAN = "mean"
FUNCTIONALS = "functionals"

# Sampling rate of all waveforms in stores and batches.
SAMPLE_RATE_HZ = 16_000
