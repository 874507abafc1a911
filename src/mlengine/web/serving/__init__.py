"""gunicorn's worker, and predictions answered where connections are polled."""
