"""gunicorn's settings in a checkout: `gunicorn -c gunicorn.conf.py wsgi:app`."""

from mlengine.web.serving.gunicorn_config import *  # noqa: F403 - gunicorn reads names of a file
