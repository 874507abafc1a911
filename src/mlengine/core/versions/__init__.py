"""What is known about a model version, and how two of them differ."""
