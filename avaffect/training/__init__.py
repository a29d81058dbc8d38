"""The one training loop, checkpoints and schedules."""
