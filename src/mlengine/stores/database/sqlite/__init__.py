"""What SQLite needs and a server does not: its file, the log of its writes, its checkpoints."""
