"""Features from other tools: arrays and tables, one file an utterance or one for many."""
