"""What every layer may use: errors, atomic files, provenance, seeds, shards, the batch. No torch."""
