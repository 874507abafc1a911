"""One answer on whether a model can be trusted."""
