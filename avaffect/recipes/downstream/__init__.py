"""Heads on encoders and features: tasks, training, prediction."""
