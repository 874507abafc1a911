"""Reading, clearing and pruning the audit."""
