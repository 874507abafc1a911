"""Records of runs and of the schedule."""
