"""Benchmarks: avaffect against the naive way, in one process, as ratios of CPU time."""
