"""Model lines: what one is, and how its versions are named beside those of others."""
