"""gunicorn's settings, which come from the platform's own.

`gunicorn -c python:mlengine.web.serving.gunicorn_config mlengine.wsgi:app`
"""

import gc
import importlib
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

from gunicorn.arbiter import Arbiter

from mlengine import __version__
from mlengine.config.env_file import load_with_env_file
from mlengine.config.logging import configure_logs
from mlengine.errors import MlengineError
from mlengine.logs import LineFormatter, lifecycle
from mlengine.services.bars.upstream.bulkhead import MOST_FOLLOWERS
from mlengine.stores.database.sqlite.log_file import empty_log
from mlengine.stores.system.child_process import die_with_parent
from mlengine.stores.system.preflight import keep_files_private
from mlengine.web.serving.master import graceful_reload, open_files
from mlengine.web.serving.worker import WORKING_THREADS, Worker

keep_files_private()
try:
    settings = load_with_env_file(Path.cwd())
    configure_logs(settings)
    worker_connections = open_files.connections_allowed()
except MlengineError as error:
    sys.exit(f"mlengine: {error}")

_host = f"[{settings.host}]" if ":" in settings.host else settings.host
bind = f"{_host}:{settings.port}"
workers = settings.web_workers
worker_class = "mlengine.web.serving.streams.worker.StreamingWorker"
threads = WORKING_THREADS + settings.market_data_service.max_waits + MOST_FOLLOWERS
keepalive = 5
sendfile = False  # answers go through memory, so that no thread waits for a client
forwarder_headers = ""  # no proxy in front may choose another path by a header
preload_app = False  # a process that touched LightGBM or Polars must not fork
timeout = 60
graceful_timeout = 10
limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190
http_parser = "python"  # the one that the worker's own leniency is made for
loglevel = "warning"  # the application logs the requests
control_socket_disable = True  # it would lie under $HOME, which a container may not write

# Loaded once, before the workers are forked: none of them brings Polars, LightGBM or NumPy.
_PRELOADED = (
    *("flask_limiter", "marshmallow", "requests"),
    *("mlengine.bootstrap.control", "mlengine.stores.queue.rq_jobs"),
)


# A database that another program keeps locked costs an answer no more.
_LOCK_SECONDS = 0.15


def on_starting(server: Arbiter) -> None:
    """Spare each worker a part of its imports, and let gunicorn's lines look like all others."""
    for name in _PRELOADED:
        importlib.import_module(name)
    graceful_reload.install(server)
    formatter = LineFormatter(json=settings.json_logs)
    for handler in logging.getLogger("gunicorn.error").handlers:
        handler.setFormatter(formatter)


def when_ready(_server: Arbiter) -> None:
    facts = {"address": bind, "workers": workers, "env": settings.env}
    lifecycle.info("web server started", extra={**_process(), **facts})


def _process() -> dict[str, object]:
    return {"version": __version__, "pid": os.getpid()}


def post_worker_init(worker: Worker) -> None:
    """No request waits for the active model to be loaded; what is wrong with it, requests say.

    Nor does one wait for most of what is done on first use, or while the garbage collector walks
    through all that was imported.
    """
    platform = _platform(worker)
    if platform is not None:
        platform.registry_poll.start()
        with suppress(MlengineError):
            platform.loader.active()
        engine = importlib.import_module("mlengine.stores.database.engine")
        engine.guard_answers(platform.control.database, lock_seconds=_LOCK_SECONDS)
        platform.control.clock()  # the first look at a server's clock may wait a second
        warm_up = importlib.import_module("mlengine.services.predictions.warm_up")
        # A database that does not answer must not keep the worker from answering.
        Thread(
            target=warm_up.open_first_connection, args=[platform.control.database], daemon=True
        ).start()
        warm_up.warm_up_features()
        recorder = platform.latencies.recorder
        Thread(target=recorder.keep_flushing, args=[platform.control.clock], daemon=True).start()
    gc.collect()
    gc.freeze()
    loaded = platform.loader.loaded_version if platform is not None else None
    lifecycle.info("web worker started", extra={**_process(), "model": loaded})


def _platform(worker: Worker) -> Any:
    """That of its application; None of another one, or where it could not be loaded."""
    return getattr(getattr(worker, "wsgi", None), "extensions", {}).get("mlengine")


def worker_exit(_server: Arbiter, worker: Worker) -> None:
    if worker.ppid == os.getppid():  # the master calls this, too, for one that was killed
        platform = _platform(worker)
        if platform is not None:
            platform.latencies.recorder.flush(platform.control.clock())
        lifecycle.info("web worker stopped", extra={**_process(), "answered": worker.nr})


def on_exit(_server: Arbiter) -> None:
    """Leave the audit in its file, and no long log beside it."""
    empty_log(settings.audit_database_url)
    lifecycle.info("web server stopped", extra=_process())


def post_fork(_server: Arbiter, worker: Worker) -> None:
    """No web worker outlives a master that was killed."""
    die_with_parent(worker.ppid)
    worker.client_timeout_seconds = settings.client_timeout_seconds
