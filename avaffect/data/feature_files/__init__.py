"""Features that other tools wrote: arrays and tables, one file or one table for many utterances."""
