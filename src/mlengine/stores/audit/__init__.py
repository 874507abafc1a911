"""The audit of predictions in the database."""
