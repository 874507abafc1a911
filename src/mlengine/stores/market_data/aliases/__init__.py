"""Symbols that a source has under other names."""
