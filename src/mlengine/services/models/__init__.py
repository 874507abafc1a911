"""Versions: listing, activating, comparing, pruning."""
