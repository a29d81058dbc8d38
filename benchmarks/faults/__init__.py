"""Faults, one file a kind, and what avaffect made of them: `make faults`.

Each module has NAMES, the faults that it tries, and a function `tries(folder, quick)` that gives
the lines of its table (`table.Line`).
"""
