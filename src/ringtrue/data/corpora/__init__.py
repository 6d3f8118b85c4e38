"""One file per corpus; a corpus reader only makes Trials and validates them."""
