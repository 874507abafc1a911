"""Predictions and their replay."""
