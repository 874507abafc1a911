"""The web server's entry: `gunicorn -c gunicorn.conf.py wsgi:app`."""

import sys
from pathlib import Path

from mlengine import config
from mlengine.config.env_file import load_env_file
from mlengine.errors import MlengineError

try:
    load_env_file(Path(__file__).parent)
    settings = config.load()
    from mlengine.app import create_app

    app = create_app(settings)
except MlengineError as error:
    sys.exit(f"mlengine: {error}")
