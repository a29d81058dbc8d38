"""What a head is trained for: one file for each kind of label, and several labels at once."""
