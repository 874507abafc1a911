"""What the platform counts of itself: the families of metrics, and sketches of latencies."""
