"""Feature rows in memory."""
