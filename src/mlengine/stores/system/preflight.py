"""What must hold on a machine before the platform starts; each failure is one CannotStart line."""

import ctypes
import errno
import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlengine.errors import BadSetting, CannotStart

_LEAST_FREE_BYTES = 256_000
_LOCK_FILE = "supervisor.lock"


def require_openmp() -> None:
    """LightGBM's wheel doesn't bring its OpenMP runtime."""
    try:
        ctypes.CDLL("libgomp.so.1")
    except OSError as error:
        raise CannotStart(
            "libgomp.so.1 is missing, LightGBM needs it: apt-get install libgomp1 (or dnf "
            "install libgomp)"
        ) from error


def keep_files_private() -> None:
    """What this process and its children write is their user's alone, however it is opened."""
    os.umask(0o077)


def require_artifacts(folder: Path) -> None:
    """The artifacts folder exists, or can be made, and can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_LEAST_FREE_BYTES))
            file.flush()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CannotStart(
                f"the disk of the artifacts folder {folder} is full: free some of it "
                "(`mlengine models prune`, `mlengine audit prune`), or choose another folder with "
                "ARTIFACTS_DIR"
            ) from error
        if error.errno == errno.EROFS:
            raise CannotStart(
                f"the artifacts folder {folder} lies on a file system that is mounted read-only: "
                "mount it for writing, or choose another folder with ARTIFACTS_DIR"
            ) from error
        uid, gid = os.geteuid(), os.getegid()
        raise CannotStart(
            f"the artifacts folder {folder} isn't writable for uid {uid} ({error.strerror}): "
            f"`chown -R {uid}:{gid}` it, in a container add `--user $(id -u):$(id -g)`, "
            "or choose another with ARTIFACTS_DIR"
        ) from error


def require_universe(path: str | None) -> None:
    """The universe file, if one is set, can be read here; its content is the training's affair."""
    if path is not None and unreadable_universe(path):
        raise BadSetting("TRAIN_UNIVERSE_FILE", path, "a file that can be read")


def unreadable_universe(path: str) -> str | None:
    """Why a universe file can't be read here; None where it can."""
    if Path(path).is_file() and os.access(path, os.R_OK):
        return None
    return f"{path} must be a file that can be read"


def require_prices(folder: Path | None) -> None:
    """The folder of prices, if one is set, can be listed."""
    if folder is not None and not (folder.is_dir() and os.access(folder, os.R_OK | os.X_OK)):
        raise BadSetting("MARKET_DATA_DIR", str(folder), "a folder that can be read")


def require_port(host: str, port: int) -> None:
    """Nobody listens on the address yet, and this user may."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
    except OSError as error:
        raise CannotStart(
            f"can't listen on {host} port {port} ({error.strerror}): choose another with PORT "
            f"(PORT={port + 1 if port < 65_535 else 8000} mlengine up) or HOST"
        ) from error


def supervisor_pid(artifacts_dir: Path) -> int | None:
    """The pid of the supervisor that runs on this folder, or ran there last."""
    try:
        return int((artifacts_dir / _LOCK_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def is_supervised(artifacts_dir: Path) -> bool:
    """Whether a supervisor runs on this folder."""
    try:
        with (artifacts_dir / _LOCK_FILE).open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # nobody has held it yet
        return False
    return False


@contextmanager
def supervisor_lock(artifacts_dir: Path) -> Iterator[None]:
    """Lock the folder for this supervisor; the kernel unlocks it however the process ends."""
    with (artifacts_dir / _LOCK_FILE).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CannotStart(
                f"a platform (pid {supervisor_pid(artifacts_dir) or 'unknown'}) already runs on "
                f"{artifacts_dir}: stop it, or choose another folder with ARTIFACTS_DIR"
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
