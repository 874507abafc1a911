"""Model lines: listing, creating, changing, retiring them."""
