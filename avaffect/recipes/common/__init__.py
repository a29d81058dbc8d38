"""Shared by several commands: inputs, provenance, stores, training runs."""
