"""Moving days of predictions from the tables to files, and never both or neither."""
