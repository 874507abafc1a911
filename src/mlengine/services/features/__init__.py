"""Feature rows for a request."""
