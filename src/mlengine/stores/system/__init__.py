"""Files, processes and states of dependencies."""
