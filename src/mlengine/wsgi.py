"""The web application, as gunicorn and `flask --app mlengine.wsgi` load it.

Run as a program it finds out whether one that starts now could serve, and takes in the files of
model lines.
"""

import sys
from pathlib import Path

from mlengine.config.env_file import load_with_env_file
from mlengine.errors import DatabaseUnavailable, MlengineError
from mlengine.stores.system.garbage_collection import collect_less_often

collect_less_often()
try:
    settings = load_with_env_file(Path.cwd())
    from mlengine.app import create_app  # after a bad setting: these imports take a second

    app = create_app(settings)
    if __name__ == "__main__":
        platform = app.extensions["mlengine"]
        platform.models.require_loadable()
        try:
            platform.control.take_line_files()
        except DatabaseUnavailable as error:  # which keeps nobody from serving
            sys.stderr.write(f"mlengine: files of model lines are not taken in: {error}\n")
except MlengineError as error:
    sys.exit(f"mlengine: {error}")
