"""`mlengine limiter …`, which Flask-Limiter brings; under `flask` it puts it there itself."""

from flask_limiter.commands import cli as limiter

__all__ = ["limiter"]
