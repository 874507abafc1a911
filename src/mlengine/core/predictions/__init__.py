"""What a prediction says, whether it is usable, and whether a replay equals it."""
