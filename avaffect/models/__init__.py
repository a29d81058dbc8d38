"""Building blocks and encoders: tensors only."""
