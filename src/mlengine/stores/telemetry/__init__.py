"""Counters of all processes of a machine, and latencies by minute of all machines."""
