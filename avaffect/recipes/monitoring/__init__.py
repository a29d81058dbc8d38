"""Trainings as their metrics files tell of them: for `monitor`."""
