"""Stores, manifests, corpora, decoding, datasets and batches."""
