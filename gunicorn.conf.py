"""gunicorn's settings, which come from the platform's own."""

import sys
from pathlib import Path

from mlengine.config import load
from mlengine.env_file import load_env_file
from mlengine.errors import MlengineError
from mlengine.stores.process_death import die_with_parent

try:
    load_env_file(Path(__file__).parent)
    settings = load()
except MlengineError as error:
    sys.exit(f"mlengine: {error}")

_host = f"[{settings.host}]" if ":" in settings.host else settings.host
bind = f"{_host}:{settings.port}"
workers = settings.web_workers
worker_class = "sync"
preload_app = False  # a process that touched LightGBM or Polars must not fork
timeout = 60
graceful_timeout = 10
limit_request_line = 8190  # an over-long version gets the platform's own problem
loglevel = "warning"  # the application logs the requests
control_socket_disable = True  # it would lie under $HOME, which a container may not write


def post_fork(_server, worker):
    """No web worker outlives a master that was killed."""
    die_with_parent(worker.ppid)
