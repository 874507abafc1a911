"""The private unix socket of an embedded queue server."""

import hashlib
import os
import socket
import stat
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mlengine.errors import CannotStart

_LONGEST_SOCKET_PATH = 107
_STALE_SECONDS = 3600.0  # no start takes as long


def private_socket(
    artifacts_dir: Path,
    *,
    runtime_dir: Path | None = None,
    fallbacks: Sequence[Path] = (Path(tempfile.gettempdir()), Path("/tmp")),  # noqa: S108
) -> Path:
    """The socket's path, in a folder that only this user can enter; made when missing.

    The folder's name is a hash of the artifacts path, so that platforms don't meet. It lies in
    `runtime_dir`, else in the first of `fallbacks` that is usable.
    Raises CannotStart when the folder isn't this user's own, or the path is too long.
    """
    name = hashlib.sha256(os.fsencode(artifacts_dir)).hexdigest()[:16]
    for base in (*([runtime_dir] if runtime_dir else []), *fallbacks):
        path = base / f"mlengine-{os.geteuid()}-{name}" / "queue.sock"
        usable = base.is_dir() and os.access(base, os.W_OK | os.X_OK)
        if usable and len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
            _make_private(path.parent)
            _remove_stale_folders(base)
            return path
    raise CannotStart(
        "no folder for the queue server's socket: set TMPDIR to a short, writable one"
    )


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise CannotStart(f"{folder} isn't a folder of this user: remove it")
    if stat.S_IMODE(status.st_mode) != 0o700:
        folder.chmod(0o700)
    os.utime(folder)


def _remove_stale_folders(base: Path) -> None:
    """Those of this user's platforms that were killed: empty, and touched by no start of late."""
    for folder in base.glob(f"mlengine-{os.geteuid()}-*"):
        with suppress(OSError):
            if time.time() - folder.lstat().st_mtime > _STALE_SECONDS:
                folder.rmdir()


def remove_socket(path: Path) -> None:
    """Remove the socket of a server that has ended, and its folder; one that answers stays."""
    if send_command(path, "PING") is None:
        with suppress(OSError):
            path.unlink(missing_ok=True)
            path.parent.rmdir()


def send_command(path: Path, command: str, *, seconds: float = 1.0) -> str | None:
    """The first line that the server behind `path` answers to `command`; None when nobody does."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(seconds)
            connection.connect(str(path))
            connection.sendall(f"{command}\r\n".encode())
            return connection.recv(512).decode(errors="replace").partition("\r\n")[0]
    except OSError:
        return None


def wait_until_stopped(path: Path, *, seconds: float) -> bool:
    """Whether the server behind `path` stopped answering in time."""
    deadline = time.monotonic() + seconds
    while send_command(path, "PING") is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
