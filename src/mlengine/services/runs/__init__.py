"""Asking for runs, scheduling them and keeping their records true."""
