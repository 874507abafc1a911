"""The web application, as gunicorn and `flask --app mlengine.wsgi` load it."""

import sys
from pathlib import Path

from mlengine.config.env_file import load_settings
from mlengine.errors import MlengineError

try:
    settings = load_settings(Path.cwd())
    from mlengine.app import create_app  # after a bad setting: these imports take a second

    app = create_app(settings)
except MlengineError as error:
    sys.exit(f"mlengine: {error}")
