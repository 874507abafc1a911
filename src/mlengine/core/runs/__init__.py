"""Training runs: their states, progress and schedule."""
