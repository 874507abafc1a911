"""Whether this machine, and what the platform leans on, are fit for it."""
