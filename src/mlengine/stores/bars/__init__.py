"""Bars in memory and on disk."""
