"""Signals: the universe scored at every bar, and the panel of what was said."""
