"""What every layer may use: errors, atomic files, provenance, seeds, the batch. No torch."""
