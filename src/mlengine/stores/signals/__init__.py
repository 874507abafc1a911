"""Signals: the bars that are to be scored, in slices, and what was said of each symbol."""
