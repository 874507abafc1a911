"""The corporate actions of each symbol, for whoever adjusts bars."""
