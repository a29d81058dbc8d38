"""Transcripts with times: one reader a format."""
