"""The definitions of model lines: their rows, and the files that they come from."""
