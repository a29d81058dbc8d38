"""Tasks of a head: one file for each kind of label, and several labels together."""
