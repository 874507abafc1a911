"""Locks of keys between the processes of a machine: each key is a byte of one file."""

import fcntl
import os
import threading
import zlib
from pathlib import Path


class KeyLocks:
    """A process has each of its keys for all its threads, and loses them when it ends.

    Where the file can't be opened, or there is none, each process has all keys.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._handle: int | None = None
        self._lock = threading.Lock()

    def take(self, key: str) -> bool:
        """Whether this process has the key now."""
        try:
            fcntl.lockf(self._opened(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _byte(key))
        except BlockingIOError:
            return False
        except (OSError, ValueError):
            return True
        return True

    def release(self, key: str) -> None:
        """Let another process have it."""
        if self._handle is not None:
            fcntl.lockf(self._handle, fcntl.LOCK_UN, 1, _byte(key))

    def _opened(self) -> int:
        with self._lock:
            if self._file is None:
                raise ValueError
            if self._handle is None:
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
                self._handle = os.open(self._file, flags, 0o600)
            return self._handle


def _byte(key: str) -> int:
    return zlib.crc32(key.encode(errors="surrogatepass"))
