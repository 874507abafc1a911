"""What a training keeps while it runs."""
