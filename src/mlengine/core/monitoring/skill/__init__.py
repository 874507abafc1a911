"""Whether a model still has the skill that it was judged by, looked at every day."""
