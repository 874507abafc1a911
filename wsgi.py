"""The web application, where `gunicorn wsgi:app` and `flask` find it in a checkout."""

from mlengine.wsgi import app

__all__ = ["app"]
