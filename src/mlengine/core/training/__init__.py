"""From bars to a fitted and evaluated model, by time only."""
