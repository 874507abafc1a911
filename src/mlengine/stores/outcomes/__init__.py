"""Outcomes of predictions in the database."""
