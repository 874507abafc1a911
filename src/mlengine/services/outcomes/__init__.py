"""Holds predictions against what then happened."""
