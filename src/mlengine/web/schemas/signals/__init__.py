"""What the routes of signals take and answer."""
