"""Answers counted, and counts in the text format of Prometheus."""
