"""Drift, and the events of the history."""
