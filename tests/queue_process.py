"""A real Valkey on a unix socket, for the tests that need a queue."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from redis import Redis

from mlengine.stores.queue.server import QueueServer, find_binary, resolve_url

_OF_THE_CLIENT = ("HELLO", "CLIENT ")  # how redis-py begins the connection that counts


def is_on_disk(artifacts: Path, text: str) -> bool:
    """Whether the server wrote `text` to its file; it may wait for a second before it does."""
    files = (artifacts / "queue" / "appendonlydir").glob("*.aof")
    return any(text.encode() in file.read_bytes() for file in files)


def commands_during(url: str, work: Callable[[], object]) -> list[str]:
    """What clients sent to the server while `work` ran, without what its scripts do there."""
    seen, end = [], "the end of the work"
    client = Redis.from_url(url)
    with client.monitor() as monitor:
        work()
        client.echo(end)
        for command in monitor.listen():
            if end in command["command"]:
                break
            if command["client_type"] != "lua":
                seen.append(command["command"])
    return [command for command in seen if not command.startswith(_OF_THE_CLIENT)]


class QueueProcess:
    """`with QueueProcess() as queue: JobQueue(lambda: queue.url)`; gone at the end of the block.

    `artifacts` is the folder that the server belongs to: an empty REDIS_URL with this
    ARTIFACTS_DIR finds it.
    """

    url: str

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mlq-")
        self.artifacts = Path(self._folder.name)
        self.server = QueueServer(self.artifacts, find_binary(), runtime_dir=self.artifacts)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> QueueProcess:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._folder.cleanup()

    def start(self) -> None:
        self._process = self.server.start()
        self.url = resolve_url(None, self.artifacts)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """Kill the server, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
