"""Use cases: one method each, over stores that are passed in."""
