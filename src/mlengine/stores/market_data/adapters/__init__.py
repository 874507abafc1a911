"""Sources behind a library that others keep: each asks it, and holds what it gives to be whole."""
