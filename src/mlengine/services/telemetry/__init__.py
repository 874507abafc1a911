"""Metrics for Prometheus, and latencies by route and stage."""
