"""Files, processes and health checks."""
