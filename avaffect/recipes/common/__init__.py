"""What several commands share: inputs, provenance, stores, training runs."""
