"""The file of named keys, and what is in memory of it."""
