"""Signals: what the models of a line say of its universe at each bar."""
