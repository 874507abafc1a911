"""Answers that no framework writes: who asks, and what is sent."""
