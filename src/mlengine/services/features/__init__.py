"""Feature rows for a question."""
