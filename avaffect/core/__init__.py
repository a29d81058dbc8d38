"""Used by every layer: errors, atomic files, provenance, seeds, the batch. No torch."""
