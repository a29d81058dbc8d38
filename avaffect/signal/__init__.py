"""DSP and image transforms on tensors."""
