"""What the upstream has, asked for once, only where it is missing, and recorded."""
