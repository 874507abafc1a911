"""The job queue and its server."""
