"""Tables of text as other programs write them."""
