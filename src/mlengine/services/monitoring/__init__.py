"""Drift, freshness, latency, history and health."""
