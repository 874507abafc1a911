"""What gunicorn's master does: how many files it lets its workers open, and their replacement."""
