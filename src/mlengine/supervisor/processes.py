"""The processes that a platform is made of, as children of its supervisor."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from mlengine import config
from mlengine.config import Settings
from mlengine.logs import lifecycle
from mlengine.stores.queue.server import QueueServer, find_binary, resolve_url
from mlengine.stores.system.child_process import start_dying_with_parent
from mlengine.supervisor.children import Child

ONE_THREAD = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}


@dataclass(frozen=True)
class ChildCommands:
    """What the children run, in the platform's folder."""

    web: Sequence[str] = (
        *(sys.executable, "-m", "gunicorn"),
        *("-c", "python:mlengine.web.serving.gunicorn_config", "mlengine.wsgi:app"),
    )
    worker: Sequence[str] = (sys.executable, "-m", "mlengine.jobs")
    prepare: Sequence[str] = (sys.executable, "-m", "mlengine", "prepare")
    train: Sequence[str] = (sys.executable, "-m", "mlengine", "train", "--wait")

    @property
    def first_training(self) -> Sequence[str]:
        return (*self.train, "--first")


def queue_children(settings: Settings) -> list[Child]:
    if settings.redis_url:
        return []
    # Its socket lies in the temp directory: $XDG_RUNTIME_DIR vanishes when the user logs out.
    server = QueueServer(settings.artifacts_dir, find_binary())
    version = f"{server.binary.kind} {server.binary.version}"

    def start() -> subprocess.Popen[bytes]:
        process = server.start()
        facts = {"version": version, "pid": process.pid}
        address = resolve_url(None, settings.artifacts_dir)
        lifecycle.info("queue server started", extra={**facts, "address": address})
        return process

    def clean_up() -> None:
        server.remove_socket()
        lifecycle.info("queue server stopped", extra={"version": version})

    return [
        Child(
            "queue server",
            start,
            grace_seconds=2.0,
            needs_database=False,
            is_reachable=server.is_reachable,
            clean_up=clean_up,
        )
    ]


def worker_child(commands: ChildCommands, **extra: str) -> Child:
    environment = config.environment_for_child({"PYTHONUNBUFFERED": "1", **extra})
    return Child(
        "worker",
        lambda: start_dying_with_parent(commands.worker, environment=environment),
        grace_seconds=2.5,
        takes_sighup=True,
        second_sigterm=True,
    )


def web_child(settings: Settings, commands: ChildCommands) -> Child:
    """It waits for the database only where that also checks feature sets of the user's own."""
    environment = config.environment_for_child({"PYTHONUNBUFFERED": "1", **ONE_THREAD})
    return Child(
        "web server",
        lambda: start_dying_with_parent(commands.web, environment=environment),
        grace_seconds=4.0,
        needs_database=bool(settings.feature_sets) or settings.train.feature_set != "core",
        critical=True,
        takes_sighup=True,
    )
